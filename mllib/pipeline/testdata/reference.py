"""Writes reference.json: what scikit-learn makes of ../../../examples/testdata/penguins.parquet. Needs pyarrow, pandas and scikit-learn 1.9.

    python reference.py
"""

import json

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

MEASURES = ["bill_depth_mm", "flipper_length_mm", "body_mass_g"]
REG = 0.01


def by_frequency(column):
    counts = column.value_counts()
    return sorted(counts.index, key=lambda name: (-counts[name], name))


def run(frame, label, categories, strategy, scaler):
    frame = frame.copy()
    for name in categories:
        frame[name] = frame[name].fillna("(other)").astype(object)
    orders = [[v for v in by_frequency(frame[name]) if v != "(other)"] + ["(other)"] for name in categories]
    columns = ColumnTransformer([
        ("categories", OneHotEncoder(categories=orders), categories),
        ("measures", make_pipeline(SimpleImputer(strategy=strategy), scaler), MEASURES),
    ])
    classes = by_frequency(frame[label])
    y = np.array([classes.index(v) for v in frame[label]])
    x = columns.fit_transform(frame)
    x = np.asarray(x.todense()) if hasattr(x, "todense") else x
    if isinstance(scaler, StandardScaler):  # Spark's deviation is the unbiased one
        n = len(frame)
        x[:, -len(MEASURES):] *= np.sqrt((n - 1) / n)
    model = LogisticRegression(C=1 / (REG * len(y)), tol=1e-12, max_iter=100000).fit(x, y)
    p = model.predict_proba(x)
    out = {
        "classes": classes,
        "filled": [float(v) for v in columns.named_transformers_["measures"][0].statistics_],
        "features": [float(v) for v in x.sum(axis=0)],
        "first": [[float(v) for v in row] for row in x[:5]],
        "probabilities": [[float(v) for v in row] for row in p[::20]],
        "accuracy": accuracy_score(y, p.argmax(axis=1)),
        "f1": f1_score(y, p.argmax(axis=1), average="weighted"),
        "logLoss": log_loss(y, p),
    }
    if len(classes) == 2:
        out["areaUnderROC"] = roc_auc_score(y, p[:, 1])
    return out


penguins = pd.read_parquet("../../../examples/testdata/penguins.parquet")
with open("reference.json", "w") as f:
    json.dump({
        "species": run(penguins, "species", ["island", "sex"], "median", StandardScaler()),
        "sex": run(penguins[penguins.sex.notna()], "sex", ["island", "species"], "mean", MinMaxScaler()),
    }, f, indent=1)
    f.write("\n")
