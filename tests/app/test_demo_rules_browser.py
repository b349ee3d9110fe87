"""Puzzles that state their rules in a headless browser: an example, a pasted text, a file, a mistake."""

import pytest
import torch
from demo_server import running
from of_rules import LATIN, TIMETABLE, write_weights

pytest.importorskip("selenium")
from demo_browser import browsing, needs_browser  # noqa: E402
from selenium.webdriver.support.ui import Select  # noqa: E402

pytestmark = needs_browser
FEW = ["boards.sudoku=[4]", "boards.queens=[8]", "boards.graph=[8]"]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rules")
    torch.set_default_dtype(torch.float32)
    write_weights(folder / "any.safetensors")
    torch.set_default_dtype(torch.float64)
    weights = f"weights=[{folder / 'any.safetensors'}]"
    with running(folder / "log", weights, *FEW, "start.segments=2") as address, browsing(folder) as browser:
        browser.driver.get(address)
        browser.until(lambda: browser.every("#board option"))  # the script has run
        yield browser


def write(page, text):
    page.driver.execute_script(
        "arguments[0].value = arguments[1];"
        "arguments[0].dispatchEvent(new InputEvent('input', {bubbles: true, inputType: 'insertFromPaste'}))",
        page.one("#text"), text,
    )  # fmt: skip


def test_a_puzzle_is_pasted_shown_and_solved(page):
    write(page, LATIN + "given: {a1: 2}")
    page.until(lambda: page.cells("#editor .board") == [["2", ".", ".", "."]])
    assert "states its rules" in Select(page.one("#board")).first_selected_option.text
    page.solve()
    assert page.cells("#solutions .board") in ([["2", "1", "1", "2"]], [])
    assert len(page.cells("#trajectories .board")) == 12 and page.every("#entropy .board.heat .cell")


def test_cells_by_name_come_from_a_file(page):
    path = page.folder / "timetable.yaml"
    path.write_text(TIMETABLE, encoding="utf-8")
    page.one("#file").send_keys(str(path))
    page.until(lambda: ["maths", "physics", "art"] == [name.text for name in page.every("#editor .cell-name")])
    assert page.one("#text").get_property("value") == TIMETABLE
    page.solve()
    for solution in page.cells("#solutions .board"):
        assert solution[5] == "tuesday" and solution[1] != solution[3]
    page.picture("timetable")


def test_a_mistake_is_told_with_its_line(page):
    write(page, LATIN.replace("rows", "row"))
    page.until(lambda: "line 3: got the rule 'row'" in page.one("#error").text)
    assert page.problems() == []
