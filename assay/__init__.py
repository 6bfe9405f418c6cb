"""Assay tests a Kafka data platform on Kubernetes before production does.

Facts are recorded in ledgers (`assay.ledger`), pure checks turn ledgers into findings (`assay.checks`), and the worst
finding is the verdict (`assay.verdict`). Everything else gets a platform into the state where there is something to
record: clusters, provisioning, load.
"""

from importlib.metadata import version

from assay.chaos import discover

__all__ = ["__version__", "discover"]
__version__ = version("assay")
