"""One record from Kafka to an effect and out again. No domain word in here."""
