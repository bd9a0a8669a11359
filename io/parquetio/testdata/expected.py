"""Writes expected.tsv: what pyarrow reads from the Parquet conformance files.

    python expected.py PARQUET_TESTING_DIR SPARK_TEST_DATA_DIR > expected.tsv

Both directories as .ci/parquet-files lays them out. One line for each column that pyarrow reads:

    file <tab> column <tab> rows <tab> first 16 hex digits of the SHA-256 of the column's values as text

and for what it refuses: file <tab> column or - <tab> ! <tab> why. The text of a value is what
values() below says; conformance_test.go makes the same of what the Go reader reads.
Made with pyarrow 26.0.1.
"""

import decimal
import hashlib
import os
import struct
import sys

import pyarrow as pa
import pyarrow.parquet as pq

decimal_context = decimal.Context(prec=100)
MICROS = {"s": 1_000_000, "ms": 1000, "us": 1}
NANOS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1000, "ns": 1}


def floating(x):
    return "nan" if x != x else struct.pack(">d", x).hex()


def values(a):
    """One text for each element of an Arrow array."""
    if isinstance(a, pa.ChunkedArray):
        return [v for c in a.chunks for v in values(c)]
    if isinstance(a, pa.ExtensionArray):
        return values(a.storage)
    t, there = a.type, a.is_valid().to_pylist()
    if pa.types.is_dictionary(t):
        return values(a.dictionary_decode())
    if pa.types.is_struct(t):
        members = [values(a.field(i)) for i in range(t.num_fields)]
        return ["(" + ",".join(m[i] for m in members) + ")" if ok else "null" for i, ok in enumerate(there)]
    if pa.types.is_map(t):
        keys, items, offsets = values(a.keys), values(a.items), a.offsets.to_pylist()
        return ["{" + ",".join(keys[j] + ":" + items[j] for j in range(offsets[i], offsets[i + 1])) + "}" if ok else "null"
                for i, ok in enumerate(there)]
    if pa.types.is_list(t) or pa.types.is_large_list(t):
        items, offsets = values(a.values), a.offsets.to_pylist()
        return ["[" + ",".join(items[offsets[i]:offsets[i + 1]]) + "]" if ok else "null" for i, ok in enumerate(there)]
    if pa.types.is_timestamp(t):
        if t.unit == "ns":
            text = lambda v: f"{v}ns"
        else:
            text = lambda v: f"{v * MICROS[t.unit]}us"
        a = a.view(pa.int64())
    elif pa.types.is_time(t):
        text = lambda v: f"{v * NANOS[t.unit]}ns"
        a = a.view(pa.int32() if pa.types.is_time32(t) else pa.int64())
    elif pa.types.is_date32(t):
        text = str
        a = a.view(pa.int32())
    elif pa.types.is_floating(t):
        text = floating
    elif pa.types.is_decimal(t):
        text = lambda v: f"{int(v.scaleb(t.scale, decimal_context))}/{t.scale}"
    elif pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t):
        return values(a.cast(pa.binary()))
    elif pa.types.is_binary(t) or pa.types.is_fixed_size_binary(t) or pa.types.is_large_binary(t) or pa.types.is_binary_view(t):
        text = lambda v: "x" + v.hex()
    elif pa.types.is_boolean(t):
        text = lambda v: "true" if v else "false"
    elif pa.types.is_null(t):
        text = str
    else:
        assert pa.types.is_integer(t), t
        text = str
    return [text(v) if ok else "null" for v, ok in zip(a.to_pylist(), there)]


# What pyarrow reads wrongly, by the files' own descriptions: the last timestamp is not what Spark wrote (int96_from_spark.md).
documented = {
    "parquet-testing/int96_from_spark.parquet": [
        "1704141296123456us", "1704070800000000us", "253402225200000000us", "1735599600000000us", "null", "9089380393200000000us"],
}


def digest(texts):
    h = hashlib.sha256()
    for t in texts:
        h.update(t.encode() + b"\n")
    return h.hexdigest()[:16]


def reason(e):
    return " ".join(str(e).split())[:120]


def main():
    for label, top in (("parquet-testing", sys.argv[1]), ("spark", sys.argv[2])):
        paths = []
        for folder, _, names in os.walk(top):
            paths += [os.path.join(folder, n) for n in names if n.endswith((".parquet", ".parq"))]
        for path in sorted(paths):
            name = label + "/" + os.path.relpath(path, top)
            try:
                f = pq.ParquetFile(path, page_checksum_verification=True, coerce_int96_timestamp_unit="us", arrow_extensions_enabled=False)
                columns = f.schema_arrow.names
            except Exception as e:
                print(name, "-", "!", reason(e), sep="\t")
                continue
            try:
                whole = f.read()
            except Exception as e:
                whole = None
                why = reason(e)
            for i, c in enumerate(columns):
                try:
                    a = whole.column(i) if whole is not None else f.read(columns=[c]).column(0)
                    texts = documented.get(name) or values(a)
                    print(name, c, len(texts), digest(texts), sep="\t")
                    if os.environ.get("SHOW") and os.environ["SHOW"] in name:
                        print("\n".join(texts[:20]), file=sys.stderr)
                except Exception as e:
                    print(name, c, "!", reason(e), sep="\t")


main()
