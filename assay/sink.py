"""The sink ledger: what the analytics consumer durably wrote, read back from the Iceberg table itself.

The table's catalog and warehouse live inside the cluster, so the reader (`assay.sink_reader`, sent as text) runs in a
short-lived pod made from the analytics Deployment's own template, and its answer comes back over the API server.
"""

from __future__ import annotations

import base64
import binascii
import json
from importlib import resources
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from assay import pods
from assay.errors import AssayError
from assay.ledger import LedgerWriter
from assay.platform import ANALYTICS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from assay.platform import Platform

#: Where the platform keeps its sink (docs/platform.md): catalog, warehouse and table, and the catalog's password file
#: as the analytics pods mount it.
CATALOG_URI: Final = "postgresql+psycopg2://iceberg:{{password}}@iceberg-catalog.{namespace}.svc:5432/iceberg"
WAREHOUSE: Final = "file:///warehouse"
TABLE: Final = "commodity.prices"
PASSWORD_FILE: Final = "/run/secrets/production/iceberg-catalog-password"  # noqa: S105  # a path
#: The most rows of one record batch of the ledger.
BATCH_ROWS: Final = 65_536
#: What the pods that read the sink are labelled with.
READER_LABELS: Final = {
    "app.kubernetes.io/name": "sink-reader",
    "app.kubernetes.io/component": "sink-reader",
}


def record(platform: Platform, ranges: Mapping[int, tuple[int, int]], path: Path, timeout: float = 120.0) -> int:
    """Write the sink ledger to `path`; returns how many rows it has.

    Args:
        platform: Where the sink is.
        ranges: By Kafka partition, the offsets [start, end) to read back.
        path: The ledger file to make.
        timeout: Seconds for the read.

    Raises:
        AssayError: The sink can't be read.
    """
    program = resources.files("assay").joinpath("sink_reader.py").read_text()
    arguments = [
        CATALOG_URI.format(namespace=platform.namespace),
        WAREHOUSE,
        TABLE,
        PASSWORD_FILE,
        *(f"{partition}:{start}:{end}" for partition, (start, end) in sorted(ranges.items())),
    ]
    template = platform.template("Deployment", ANALYTICS)
    with pods.temporary_pod(platform, template, pods.WAIT, READER_LABELS) as pod:
        result = pods.execute(platform, pod, ["python3", "-c", program, *arguments], timeout)
    if result.exit_code:
        last = (result.stderr.strip() or "it said nothing").splitlines()[-1]
        raise AssayError(f"The sink {TABLE} can't be read back (exit code {result.exit_code}): {last[:400]}")
    rows = parse(result.stdout)
    write(rows, path)
    return rows.num_rows


def write(rows: pa.Table, path: Path) -> None:
    """Write rows to the new sink ledger `path`, by partition and offset, in batches that need little memory.

    Raises:
        AssayError: The file exists.
    """
    ordered = rows.sort_by([("partition", "ascending"), ("offset", "ascending")])
    with LedgerWriter(path, "sink") as ledger:
        for batch in ordered.to_batches(max_chunksize=BATCH_ROWS):
            ledger.append({name: batch.column(name) for name in batch.schema.names})


def parse(text: str) -> pa.Table:
    """What the reader printed, as rows of the sink ledger's schema.

    Raises:
        AssayError: It is cut short or is not what the reader prints.
    """
    head, *lines = text.splitlines() or [""]
    try:
        expected = json.loads(head)["rows"]
        if lines[-1:] != ["."]:
            raise AssayError("The sink's rows came back cut short: the connection to the cluster broke; try again.")
        table = pa.ipc.open_stream(b"".join(base64.b64decode(line, validate=True) for line in lines[:-1])).read_all()
    except (ValueError, KeyError, TypeError, binascii.Error, pa.ArrowInvalid) as error:
        raise AssayError(f"The sink's reader answered with something else than rows ({error}).") from None
    if table.num_rows != expected:
        raise AssayError(f"The sink's reader announced {expected} rows and sent {table.num_rows}.")
    hashes = [None if one is None else int(one, 16) for one in table.column("payload_hash").to_pylist()]
    columns = {name: table.column(name) for name in table.schema.names} | {
        "run_id": pc.dictionary_encode(table.column("run_id").cast(pa.string())),
        "producer": pc.dictionary_encode(table.column("producer").cast(pa.string())),
        "payload_hash": pa.array(hashes, pa.uint64()),
    }
    return pa.table(columns).combine_chunks()
