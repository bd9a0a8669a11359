package driver

// shownError is an error whose text had secrets in it. What it wraps can be asked for with errors.Is and As as before.
type shownError struct {
	text  string
	cause error
}

func (e *shownError) Error() string { return e.text }
func (e *shownError) Unwrap() error { return e.cause }

// shown is an error as people may see it (spark.redaction.regex).
func (l *loop) shown(err error) error {
	text := err.Error()
	if clean := l.redact(text); clean != text {
		return &shownError{clean, err}
	}
	return err
}
