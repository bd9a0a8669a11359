package conf

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Property is a line of a properties file.
type Property struct {
	Key, Value string
	Line       int // where it begins, from 1
}

// ParseProperties reads the format of Spark's spark-defaults.conf, which is that of Java's properties: a key and a value with
// white space, = or : between; lines beginning with # or ! are comments; a backslash at the end continues a line; \t, \n, \r,
// \f, \uXXXX and a backslash before any other character are read as in Java. A key given twice is listed twice.
func ParseProperties(text string) ([]Property, error) {
	var properties []Property
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		first := i + 1
		line := strings.TrimLeft(lines[i], " \t\f")
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		for continued(line) {
			line = line[:len(line)-1]
			if i++; i == len(lines) {
				break
			}
			line += strings.TrimLeft(lines[i], " \t\f")
		}
		key, value := splitProperty(line)
		k, err := unescape(key)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", first, err)
		}
		v, err := unescape(value)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", first, err)
		}
		properties = append(properties, Property{Key: k, Value: strings.TrimRight(v, " \t"), Line: first})
	}
	return properties, nil
}

// continued says whether a line ends with an odd number of backslashes.
func continued(line string) bool {
	n := len(line) - len(strings.TrimRight(line, `\`))
	return n%2 == 1
}

// splitProperty ends the key at the first separator that is not escaped, and skips one = or : and the white space about it.
func splitProperty(line string) (key, value string) {
	end := len(line)
	for i := 0; i < len(line); i++ {
		if line[i] == '\\' {
			i++
		} else if strings.IndexByte(" \t\f=:", line[i]) >= 0 {
			end = i
			break
		}
	}
	value = strings.TrimLeft(line[end:], " \t\f")
	if value != "" && (value[0] == '=' || value[0] == ':') {
		value = strings.TrimLeft(value[1:], " \t\f")
	}
	return line[:end], value
}

func unescape(text string) (string, error) {
	if !strings.Contains(text, `\`) {
		return text, nil
	}
	var s strings.Builder
	var units []uint16 // of \u escapes in a row: two may make one character
	flush := func() {
		s.WriteString(string(utf16.Decode(units)))
		units = units[:0]
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			flush()
			if text[i] != '\\' {
				s.WriteByte(text[i])
			}
			continue
		}
		i++
		if text[i] == 'u' {
			if i+5 > len(text) {
				return "", fmt.Errorf(`\u in %q: four hexadecimal digits must follow`, text)
			}
			n, err := strconv.ParseUint(text[i+1:i+5], 16, 16)
			if err != nil {
				return "", fmt.Errorf(`\u in %q: four hexadecimal digits must follow`, text)
			}
			units = append(units, uint16(n))
			i += 4
			continue
		}
		flush()
		switch text[i] {
		case 't':
			s.WriteByte('\t')
		case 'n':
			s.WriteByte('\n')
		case 'r':
			s.WriteByte('\r')
		case 'f':
			s.WriteByte('\f')
		default:
			s.WriteByte(text[i])
		}
	}
	flush()
	return s.String(), nil
}
