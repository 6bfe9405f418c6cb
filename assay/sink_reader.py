"""Reads the Iceberg sink back and prints it: the judge's own program, run in a pod that reaches the sink.

It is sent as text (`python3 -c`), so it imports nothing of ours. It reads with the table format's own library, never
with the consumer's counters. Output, on standard output: one line of JSON, then the rows as an Arrow IPC stream of
partition, offset, run_id, producer, seq, payload_hash, compressed, in base64 lines, then a line with a dot.

Arguments: the catalog's URI (`{password}` stands for the password), the warehouse, the table, the file that holds the
password, and one `partition:start:end` a Kafka partition.
"""

import base64
import json
import sys
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError

_COLUMNS = ("kafka_partition", "kafka_offset", "run_id", "producer", "seq", "payload_hash")
_NAMES = ("partition", "offset", "run_id", "producer", "seq", "payload_hash")
_LINE = 57 * 1024


def wanted(ranges: list[str]) -> str:
    """The table filter for `partition:start:end` ranges (end exclusive); at least one."""
    parts = [text.split(":") for text in ranges]
    return " or ".join(
        f"(kafka_partition = {int(partition)} and kafka_offset >= {int(start)} and kafka_offset < {int(end)})"
        for partition, start, end in parts
    )


def main(arguments: list[str]) -> int:
    """Print the rows; exit code 0, or 3 where the table does not exist."""
    uri, warehouse, name, password_file, *ranges = arguments
    password = quote(Path(password_file).read_text(encoding="utf-8").strip(), safe="") if password_file else ""
    catalog = SqlCatalog(
        "sink", uri=uri.replace("{password}", password), warehouse=warehouse, init_catalog_tables="false"
    )
    try:
        table = catalog.load_table(name)
    except NoSuchTableError:
        sys.stderr.write(f"There is no table {name} in the catalog.\n")
        return 3
    rows = table.scan(row_filter=wanted(ranges), selected_fields=_COLUMNS).to_arrow()
    rows = rows.select(list(_COLUMNS)).rename_columns(list(_NAMES))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
        stream.write_table(rows)
    payload = sink.getvalue().to_pybytes()
    snapshot = table.current_snapshot()
    print(json.dumps({"rows": rows.num_rows, "snapshot": snapshot.snapshot_id if snapshot else None}))  # noqa: T201  # the interface
    for start in range(0, len(payload), _LINE):
        print(base64.b64encode(payload[start : start + _LINE]).decode())  # noqa: T201  # the interface
    print(".")  # noqa: T201  # the interface
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
