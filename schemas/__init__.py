"""What travels: positions, records, events, codecs, topics. No I/O, no Kafka client, no model."""
