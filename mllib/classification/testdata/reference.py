"""Computes the reference values of reference_test.go with scikit-learn: python reference.py"""
import numpy as np, pyarrow.parquet as pq, warnings
from sklearn.linear_model import LogisticRegression
warnings.filterwarnings("ignore")
t = pq.read_table("adult.parquet"); y = (t["label"].to_numpy() + 1) // 2
X = np.zeros((len(y), 123))
for i, r in enumerate(t["indices"].to_pylist()): X[i, np.array(r) - 1] = 1
n = len(y)
def objective(w, b, X, y, l1, l2, sw=None):
    m = X @ w + b; sw = np.ones(len(y)) if sw is None else sw
    return (sw * (np.logaddexp(0, m) - y * m)).sum() / sw.sum() + np.sum(l1 * np.abs(w)) + np.sum(l2 * w * w) / 2
def show(name, w, b, o): print(f'{name}: objective {o:.10f} norm2 {np.sum(w*w):.8f} intercept {np.ravel(b)} nonzero {np.sum(np.abs(w) > 1e-9)} l1 {np.abs(w).sum():.8f}')
lam = .01
for icept in (True, False):
    m = LogisticRegression(C=1/(n*lam), solver="newton-cholesky", tol=1e-12, max_iter=1000, fit_intercept=icept).fit(X, y)
    w, b = m.coef_[0], (m.intercept_[0] if icept else 0.); show(f"L2 intercept={icept}", w, b, objective(w, b, X, y, 0, lam))
s = X.std(0, ddof=1); keep = s > 0; Z = X[:, keep] / s[keep]
m = LogisticRegression(C=1/(n*lam), solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(Z, y)
show("L2 standardised", m.coef_[0] / s[keep], m.intercept_[0], objective(m.coef_[0], m.intercept_[0], Z, y, 0, lam))
sw = 1. + np.arange(n) % 3
m = LogisticRegression(C=1/(sw.sum()*lam), solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(X, y, sw)
show("L2 weighted", m.coef_[0], m.intercept_[0], objective(m.coef_[0], m.intercept_[0], X, y, 0, lam, sw))
for alpha in (1., .5):
    m = LogisticRegression(C=1/(n*lam), solver="saga", penalty="elasticnet", l1_ratio=alpha, tol=1e-13, max_iter=200000).fit(X, y)
    show(f"elastic net {alpha}", m.coef_[0], m.intercept_[0], objective(m.coef_[0], m.intercept_[0], X, y, lam*alpha, lam*(1-alpha)))
t = pq.read_table("iris.parquet"); y = t["label"].to_numpy(); X = np.stack([t[c].to_numpy() for c in t.column_names if c != "label"], 1); n = len(y)
for lam in (.1, .001):
    m = LogisticRegression(C=1/(n*lam), solver="newton-cg", tol=1e-14, max_iter=10000).fit(X, y)
    M = X @ m.coef_.T + m.intercept_; o = (np.log(np.exp(M - M.max(1, keepdims=True)).sum(1)) + M.max(1) - M[np.arange(n), y]).mean() + lam/2*np.sum(m.coef_**2)
    show(f"multinomial {lam}", m.coef_, m.intercept_ - m.intercept_.mean(), o); print(np.round(m.coef_, 7).tolist())
