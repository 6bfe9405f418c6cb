"""The judge's side of Kafka: the only place where Assay touches confluent_kafka.

- `clients`: connection settings in one table, and errors as sentences;
- `identity`: who we are to Kafka, where it wants certificates;
- `headers`: how a record says which send it is (pure);
- `producer`: the verifiable producer, which writes every attempt and every outcome to the ledger;
- `ends`: how sends ended, as columns;
- `sends`: the two ledgers of one producer;
- `overrides`: what a user sets over the producer's settings;
- `reader`: a fresh group-less reader of exactly the offsets asked for;
- `dead_letters`: which messages the consumers gave up;
- `admin`: facts about topics, groups and settings, as the brokers tell them;
- `quorum`: which node is the active controller, which librdkafka can't ask;
- `leaders`: who leads each partition, over time;
- `lag`: end and committed offsets over time, and waiting until a group has caught up.
"""
