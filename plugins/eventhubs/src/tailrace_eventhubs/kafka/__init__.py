"""Sending over the Kafka endpoint of Event Hubs."""
