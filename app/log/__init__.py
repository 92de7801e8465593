"""The request log: one row a request in SQLite or PostgreSQL; `python -m app.log` shows it.

`request_log` is what the service talks to, `waiting_rows` what it fills, `database` where rows end up, `migrations` how
the tables came to be, `reading` and `formats` what the command line shows.
"""
