"""One export, from source to checkpoint. The stages, in the order in which an update meets them:

    sources      where updates come from; `unpacking` gzip and zstd, `lines` with their position
    compile      an activation, once, into the function that turns a line into a record:
                 `memberships` select it, `attributes` and `identities` map it, `keying` keys it;
                 `raw` values stay the bytes they were, `invalid` says why a line has no record
    pack         records into parcels within the limits of one write
    delivery     parcels to the exporter, from several threads; `answers` checks what a plugin says,
                 `retry` paces, `draining` ends a stopped run
    settle       the position below which every update has met its fate; `letters` are the dead
                 letters on their way to the file, `ids` their event ids
    export       the loop that ties them together

Nothing here knows what the destination is or where the state is kept.
"""
