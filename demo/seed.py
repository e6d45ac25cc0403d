"""The two documents a fresh demo begins with, built with python-docx: `welcome.docx`, `report.docx`."""

from docx.document import Document
from docx.oxml.parser import OxmlElement

from .package import new_document, save
from .store import Store


def sow(store: Store) -> None:
    """Put the seed documents into an empty store; a store that holds something is left alone."""
    if len(store) == 0:
        store.put("welcome.docx", save(_welcome()))
        store.put("report.docx", save(_report()))


def _welcome() -> Document:
    document = new_document()
    document.core_properties.title = "Welcome"
    document.add_heading("Welcome to the demo", 0)
    text = document.add_paragraph("Every call of a batch is an ")
    text.add_run("ordinary HTTP request").bold = True
    text.add_run(" to this little API; independent ones run ")
    text.add_run("at the same time").italic = True
    text.add_run(".")
    document.add_heading("What to try", 1)
    for item in ("read three documents at once", "create a document and build on it", "let one call fail"):
        document.add_paragraph(item, "List Bullet")
    document.add_paragraph("Documents live in memory and are gone when the demo stops.", "Quote")
    return document


def _report() -> Document:
    document = new_document()
    document.core_properties.title = "Quarterly report"
    document.add_heading("Quarterly report", 0)
    document.add_heading("Summary", 1)
    document.add_paragraph("Deliveries grew in every region; the south grew fastest.")
    document.add_heading("Figures", 1)
    table = document.add_table(rows=0, cols=3, style="Light Grid Accent 1")
    for row in (("Region", "Orders", "Growth"), ("North", "1204", "4 %"), ("South", "987", "11 %")):
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = text
    table.rows[0]._tr.get_or_add_trPr().append(OxmlElement("w:tblHeader"))
    document.add_heading("Next steps", 1)
    for step in ("Hire two drivers", "Open a depot in the south", "Review prices"):
        document.add_paragraph(step, "List Number")
    return document
