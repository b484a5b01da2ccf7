"""Sending over AMQP: batches on a connection of the SDK, by an own sender or by the public client."""
