"""What is under test: a price feed, a batch ETL into Kafka, and a streaming consumer into Iceberg.

Nothing here knows of the judge; the two meet only in Kafka headers (`workloads.headers`) and in the manifests.
"""
