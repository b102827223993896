"""Writes the checked-in Avro schemas anew."""

from schemas.avro import schema_files

for path, text in schema_files().items():
    path.write_text(text)
    print(path.name)
