"""Three Alpaca records as the hub keeps them: Parquet with Snappy, and a null input. pyarrow 25.0.1.

    python tests/golden/parquet/make.py
"""
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

here = Path(__file__).parent
records = {
    "instruction": ["Di hola.", "Suma.", "¿Capital de Perú?"],
    "input": ["", "2 y 3", None],
    "output": ["Hola.", "2 + 3 = 5.", "La capital de Perú es Lima."],
    "text": ["…", "…", "…"],
}
pq.write_table(pa.table(records), here / "alpaca.parquet", compression="snappy")
pq.write_table(pa.table({"pregunta": ["¿Sí?"], "respuesta": ["Sí."]}), here / "other.parquet", compression="snappy")
pq.write_table(pa.table(records), here / "zstd.parquet", compression="zstd")
