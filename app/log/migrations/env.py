"""What Alembic runs for a migration: all of it in the one transaction of the connection that it is handed."""

from alembic import context

from app.log.schema import metadata

connection = context.config.attributes["connection"]
# Every step is inside the caller's transaction, also where the dialect says (of SQLite) that it could not be.
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
context.run_migrations()
