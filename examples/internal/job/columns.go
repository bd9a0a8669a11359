package job

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spark-go/spark-go/io/parquetio"
)

// ID is what the examples take as keys, nodes, users and items: whole numbers of any width, which they hold as int64, or text.
type ID interface{ int64 | string }

// IDs returns the values of a column of identifiers.
func IDs[T ID](c *parquetio.Column) []T {
	if s, ok := any(c.Strings).([]T); ok {
		return s
	}
	return any(c.Int64s).([]T)
}

// AppendID appends an identifier as text.
func AppendID[T ID](b []byte, id T) []byte {
	switch v := any(id).(type) {
	case int64:
		return strconv.AppendInt(b, v, 10)
	case string:
		return append(b, v...)
	}
	return b
}

// IDKind says how to read a column of identifiers of a Parquet file. An error names what is wrong with it.
func IDKind(ctx context.Context, uri, column string) (parquetio.Kind, error) {
	return kind(ctx, uri, column, "identifiers are whole numbers or text", parquetio.Int64, parquetio.String)
}

// NumberKind says how to read a column of numbers exactly: as int64 or as float64.
func NumberKind(ctx context.Context, uri, column string) (parquetio.Kind, error) {
	return kind(ctx, uri, column, "name a column of numbers", parquetio.Int64, parquetio.Float64)
}

func kind(ctx context.Context, uri, column, remedy string, wanted ...parquetio.Kind) (parquetio.Kind, error) {
	schema, err := parquetio.ReadSchema(ctx, uri)
	if err != nil {
		return "", err
	}
	field, ok := schema.Field(column)
	if !ok {
		return "", fmt.Errorf("%s has no column %q: name one of %s", uri, column, strings.Join(schema.Names(), ", "))
	}
	k, ok := parquetio.KindOf(field)
	if !ok || field.Type == "list" || !slices.Contains(wanted, k) {
		return "", fmt.Errorf("column %q of %s is %s: %s", column, uri, field.Type, remedy)
	}
	return k, nil
}

// List takes a comma list apart.
func List(s string) []string {
	var all []string
	for _, name := range strings.Split(s, ",") {
		if name = strings.TrimSpace(name); name != "" {
			all = append(all, name)
		}
	}
	return all
}
