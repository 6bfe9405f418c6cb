"""The commodity price pipeline: feed → validate → transform → Kafka, and no row ever dropped silently."""
