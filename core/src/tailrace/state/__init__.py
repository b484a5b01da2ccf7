"""Where Tailrace keeps what it must remember: SQLite in the home, or PostgreSQL.

    folders     the home and the configuration folder, both private
    tables      the schema, as SQLAlchemy Core tables
    database    engine and transactions
    revision    start-up: is the stored schema this one?
    upgrade     the only module that imports Alembic
    rows        named, versioned rows: fetch, insert, compare-and-set, delete
    sources     the number a source has within an activation

Nothing is imported here, so that a command that needs no state does not pay for SQLAlchemy.
"""
