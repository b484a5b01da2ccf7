"""Where Tailrace keeps what it must remember: SQLite in the home, or PostgreSQL.

    folders     the home and the configuration folder, both private
    database    the seam: transactions, which take SQL and give rows
    hints       what to do where it cannot be used
    columns     which columns hold JSON, booleans and times
    sqlite      the seam on the standard library
    postgresql  the seam on SQLAlchemy
    revision    start-up: is the stored schema this one?
    tables      the schema, as SQLAlchemy Core tables
    alchemy     SQLAlchemy's connections and errors
    upgrade     the only module that imports Alembic
    rows        named, versioned rows: fetch, insert, compare-and-set, delete
    sources     the number a source has within an activation

Only what is used is imported, and of this `postgresql`, `tables`, `alchemy` and `upgrade` need
SQLAlchemy, which takes longer to start than a command needs for all the rest.
"""
