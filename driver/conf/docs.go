package conf

import (
	"fmt"
	"strings"
)

// Markdown is the reference page of all settings, docs/configuration.md.
func Markdown() string {
	var s strings.Builder
	s.WriteString(`# Configuration

Settings have Spark's names. A value given in code goes before a flag of ` + "`spark-go submit`" + `, a flag before the properties file
(` + "`--properties-file`" + `), and that before the default. Unknown settings are refused with the nearest known one; wrong values with what is
allowed and where the value came from. Settings of Spark that are not listed here are refused with the reason.

Sizes are whole numbers with b, k, m, g, t or p, in units of 1024; times are whole numbers with us, ms, s, m, min, h or d.
A number alone is in the unit of the last column.

<!-- Written by "go test ./driver/conf -rewrite" from driver/conf/table.go. -->
`)
	for i := range Keys {
		k := &Keys[i]
		if k.Group != "" {
			fmt.Fprintf(&s, "\n## %s\n\n| key | default | values | meaning | unit |\n|---|---|---|---|---|\n", k.Group)
		}
		values := k.Kind.String()
		if r := k.Range(); r != "" {
			values = r
			if k.Kind != Choice {
				values = k.Kind.String() + ", " + r
			}
		}
		unit := k.Unit
		switch {
		case unit != "":
		case k.Kind == Bytes:
			unit = "b"
		case k.Kind == Duration:
			unit = "ms"
		}
		fmt.Fprintf(&s, "| `%s` | %s | %s | %s | %s |\n", k.Name, code(k.Default), cell(values), cell(k.Doc), unit)
	}
	s.WriteString("\n## Families\n\n| keys | meaning |\n|---|---|\n")
	for i := range prefixes {
		fmt.Fprintf(&s, "| `%s*` | %s |\n", prefixes[i].Name, cell(prefixes[i].Doc))
	}
	s.WriteString("\n## Settings of Spark that are refused\n\n| keys | reason |\n|---|---|\n")
	for _, a := range absent {
		name := a.name
		if strings.HasSuffix(name, ".") {
			name += "*"
		}
		fmt.Fprintf(&s, "| `%s` | %s |\n", name, cell(a.reason))
	}
	return s.String()
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + cell(text) + "`"
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
