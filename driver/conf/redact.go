package conf

import (
	"net/url"
	"regexp"
	"strings"
)

const redacted = "*********(redacted)"

// shortest is the length from which on the value of a secret setting is looked for in texts: shorter ones occur by chance.
const shortest = 6

var (
	defaultRedaction = regexp.MustCompile(byName["spark.redaction.regex"].Default)

	// scheme://user:password@host; the password may hold @.
	uriPassword = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s/?#:@"']*:)[^\s/?#"']*@`)
	// ?name=value and &name=value of a URI.
	uriQuery = regexp.MustCompile(`([?&;])([A-Za-z0-9_.%-]+)=([^&;\s"'<>]+)`)
	// spark.x.y=value, and the same in logs and JSON.
	assignment = regexp.MustCompile(`(spark\.[A-Za-z0-9_.-]+)("?\s*[=:]\s*"?)([^\s",;]+)`)
	// Names of query parameters that sign a URI or prove who asks, besides what spark.redaction.regex says: presigned URIs of S3 and others.
	signature = regexp.MustCompile(`(?i)signature|credential|^sig$|accesskeyid|api.?key|^key$|auth`)
)

// Redacted is what may be shown of the value of a key, in the UI, in logs and in event logs: nothing, if the key looks like
// that of a secret (spark.redaction.regex).
func (c *Conf) Redacted(key, value string) string { return redact(c.redaction(), key, value) }

func (c *Conf) redaction() *regexp.Regexp {
	if c.IsSet("spark.redaction.regex") {
		return typed[*regexp.Regexp](c, "spark.redaction.regex", Regexp)
	}
	return defaultRedaction
}

func redact(re *regexp.Regexp, key, value string) string {
	if value != "" && re.MatchString(key) {
		return redacted
	}
	return value
}

// Redactor returns a function that takes secrets out of a text for people, such as an error: the values of settings that look like secrets
// wherever they stand, passwords in URIs, what signs a URI (presigned ones of S3), and values after the name of a
// secret setting. What it cannot see are secrets that were never a setting and stand in the text by themselves. The settings are those of now.
func (c *Conf) Redactor() func(string) string {
	re := c.redaction()
	var values []string
	for _, s := range c.Settings() {
		if len(s.Value) >= shortest && re.MatchString(s.Key) {
			values = append(values, s.Value, redacted)
			if escaped := url.QueryEscape(s.Value); escaped != s.Value {
				values = append(values, escaped, redacted)
			}
		}
	}
	known := strings.NewReplacer(values...)
	return func(text string) string {
		text = known.Replace(text)
		if strings.Contains(text, "://") {
			text = uriPassword.ReplaceAllString(text, "${1}"+redacted+"@")
		}
		if !strings.Contains(text, "=") && !strings.Contains(text, "spark.") {
			return text
		}
		text = uriQuery.ReplaceAllStringFunc(text, func(part string) string {
			name, _, _ := strings.Cut(part[1:], "=")
			if signature.MatchString(name) || re.MatchString(name) {
				return part[:1+len(name)] + "=" + redacted
			}
			return part
		})
		return assignment.ReplaceAllStringFunc(text, func(part string) string {
			m := assignment.FindStringSubmatch(part)
			if re.MatchString(m[1]) && m[3] != redacted {
				return m[1] + m[2] + redacted
			}
			return part
		})
	}
}
