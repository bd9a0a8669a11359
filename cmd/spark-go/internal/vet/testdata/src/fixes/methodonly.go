package fixes

func noImport(r dataset, n int) dataset {
	return r.Filter(func(x int) bool { return x > n }) // want `captures n`
}
