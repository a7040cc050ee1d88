//! The seam over two databases: pools, transactions, migrations, dialect.
