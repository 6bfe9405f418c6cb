"""The analytics consumer: Kafka → windows per commodity → Iceberg, and only then the offsets."""
