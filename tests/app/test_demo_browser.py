"""The demo page in a headless browser: from an example to what is refused, by mouse and by keys, on two screens."""

import networkx as nx
import pytest
from demo_server import CONFIG, FOUR, needs_weights, running
from plain_rules import queens_solutions, queens_text, sudoku_is_right

pytest.importorskip("selenium")
from axe_core_python.selenium import Axe  # noqa: E402
from demo_browser import LAPTOP, PHONE, browsing, needs_browser  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select  # noqa: E402

pytestmark = [needs_weights, needs_browser]
NINE = CONFIG.examples.sudoku_9["one solution"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("demo") / "log") as address:
        yield address


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with browsing(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture
def page(browser, server):
    browser.resize(LAPTOP)
    browser.dark(False)
    browser.driver.get(server)
    yield browser
    assert browser.problems() == []


def choose(page, title):
    Select(page.one("#board")).select_by_visible_text(title)


def fewer(page, steps=2, guesses=4):
    """Settings for a test that only wants an outcome."""
    for name, value in (("segments", steps), ("particles", guesses)):
        script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))"
        page.driver.execute_script(script, page.one(f"#{name}"), value)


def test_an_example_is_solved_and_a_contradiction_refused(page):
    choose(page, "6x6 Sudoku")
    page.click("#examples button", "4 solutions")
    assert page.boards("#editor .board") == [FOUR] and page.one("#text").get_property("value") == FOUR
    page.solve()
    solutions = page.boards("#solutions .board")
    assert 1 <= len(solutions) == len(set(solutions)) <= 4
    assert all(sudoku_is_right(FOUR, board, 2, 3) for board in solutions)
    votes = [int(caption.text.split()[0]) for caption in page.every("#solutions .votes")]
    many = f"{len(solutions)} different solutions" if len(solutions) > 1 else "1 solution"
    assert page.one("#status").text.startswith(f"{many} found: {sum(votes)} of {CONFIG.start.particles} guesses")

    slider = page.one("#segment")
    slider.send_keys(Keys.HOME)
    assert set(page.boards("#trajectories .board")) == {FOUR} and page.one("#segment-value").text == "the puzzle"
    slider.send_keys(Keys.END)
    trajectories = page.boards("#trajectories .board")
    assert len(trajectories) == CONFIG.start.particles
    assert votes == [trajectories.count(board) for board in solutions]
    assert len(page.every("#trajectories figure.right")) == sum(votes)
    page.one("#play").click()
    page.until(lambda: "step 1 " in page.one("#segment-value").text)
    page.one("#play").click()
    assert page.one("#play").text == "Play"
    cells = page.cells("#entropy .board")[0]
    shown = [cell for cell, clue in zip(cells, FOUR, strict=True) if clue == "." and cell != "."]  # no zeros
    assert shown and all(float(entropy) > 0 for entropy in shown)
    assert all(cell == clue for cell, clue in zip(cells, FOUR, strict=True) if clue != ".")

    first = page.one("#editor .cell")
    first.send_keys("4")  # stands in row 1 already
    assert page.one("#text").get_property("value").startswith("4") and first.get_attribute("aria-invalid") == "true"
    page.one("#solve").click()
    page.until(lambda: "clues contradict: 4 stands at row 1, column 1" in page.one("#error").text)
    first.send_keys("7")
    assert "write 1 to 6" in page.one("#error").text


def test_queens_are_set_by_clicks(page):
    choose(page, "8x8 board of queens")
    Select(page.one("#sampler")).select_by_value("smc")
    assert not page.one("#temperature").is_enabled()
    page.click("#examples button", "7 solutions")
    page.every("#editor .cell")[7 * 8 + 5].click()
    text = page.one("#text").get_property("value")
    assert text == "2.1....5"
    page.solve()
    assert len(page.cells("#trajectories .board")[0]) == 64
    answers = page.cells("#solutions .board")
    found = {queens_text("".join("2" if c == "2" else "1" for c in board)) for board in answers}
    assert found <= queens_solutions(text) and bool(found) != page.one("#abstained").is_displayed()


def test_a_graph_is_drawn_by_pressing_vertices(page):
    page.paste("#editor .cell", "1-2,2-3,3-4,4-1,5-6,7-8")
    page.until(lambda: Select(page.one("#board")).first_selected_option.text == "graph of 8 vertices in 3 colours")
    vertices = page.every("#editor button")
    assert len(page.every("#editor line")) == 6
    assert vertices[0].get_attribute("aria-label") == "vertex 1, joined to 2, 4"
    before = page.one("#text").get_property("value")
    for vertex in (0, 2):  # a chord
        vertices[vertex].send_keys(Keys.SPACE)
    assert vertices[0].get_attribute("aria-label") == "vertex 1, joined to 2, 3, 4"
    chord = nx.from_graph6_bytes(page.one("#text").get_property("value").encode())
    assert set(chord.edges) - set(nx.from_graph6_bytes(before.encode()).edges) == {(0, 2)}
    page.solve()
    page.one("#segment").send_keys(Keys.END)
    valid = len(page.every("#trajectories figure.right"))
    assert valid >= 1 and f"{valid} of {CONFIG.start.particles} guesses obey the rules" in page.one("#status").text
    for figure in page.every("#solutions figure"):
        label = figure.find_element("css selector", "svg").get_attribute("aria-label")
        colours = [part.split(" ")[1] for part in label.split("; ")[1].split(", ")]
        assert len(colours) == 8 and all(colours[a] != colours[b] for a, b in chord.edges)
    violations = Axe().run(page.driver)["violations"]
    assert [v["id"] for v in violations if v["impact"] in ("serious", "critical")] == []
    vertices[0].send_keys(Keys.SPACE, Keys.SPACE)  # marked and not
    assert not page.one("#stale").is_displayed()
    page.one("#text").clear()
    page.one("#text").send_keys("1-2,7-8")
    assert len(page.every("#editor line")) == 2 and page.one("#stale").is_displayed()


def test_a_grid_is_pasted_in_any_spelling_and_the_board_follows(page):
    rows = [NINE[9 * row : 9 * row + 9] for row in range(9)]
    bars = "\n".join(" | ".join(" ".join(row[c : c + 3]) for c in (0, 3, 6)).replace(".", "_") for row in rows)
    page.paste("#editor .cell", bars.replace("\n", "\n\n"))
    page.until(lambda: page.boards("#editor .board") == [NINE])
    assert Select(page.one("#board")).first_selected_option.text == "9x9 Sudoku"
    page.paste("#editor .cell", "x x 3 x\n" + "- - - 2\n" + "* * * *\n" + "4 0 0 3")
    page.until(lambda: page.boards("#editor .board") == ["..3....2....4..3"])
    page.paste("#editor .cell", "02413")
    page.until(lambda: "Nothing is trained on this size of board" in page.one("#error").text)
    page.paste("#editor .cell", "12345")
    page.until(lambda: "row 5 of the board is '5'" in page.one("#error").text)
    assert page.boards("#editor .board") == ["..3....2....4..3"]


def test_an_outcome_of_other_input_is_marked(page):
    fewer(page)
    page.solve()
    stale = page.one("#stale")
    assert not stale.is_displayed()
    text = page.one("#text").get_property("value")
    page.every("#editor .cell")[1].send_keys("1")
    assert stale.is_displayed() and "stale" in page.one("#found").get_attribute("class")
    page.one("#text").clear()
    page.one("#text").send_keys(text)  # as it was
    assert not stale.is_displayed()
    page.one("#seed").send_keys("1")
    assert stale.is_displayed()
    page.solve()
    assert not stale.is_displayed()


def test_thinking_tells_its_steps_and_can_be_cancelled(page):
    choose(page, "9x9 Sudoku")
    fewer(page, steps=32, guesses=48)
    page.one("#solve").click()
    page.until(lambda: page.one("#progress-text").text.startswith("Thinking: step "))
    assert not page.one("#solve").is_displayed() and page.one("#progress").is_displayed()
    page.one("#cancel").click()
    page.until(lambda: page.one("#error").text == "Cancelled.")
    assert page.one("#solve").is_displayed() and page.driver.switch_to.active_element == page.one("#solve")
    choose(page, "4x4 Sudoku")
    page.solve()  # the turn of the cancelled one has ended
    assert len(page.cells("#trajectories .board")[0]) == 16


def test_no_board_that_breaks_the_rules_has_a_bar(page):
    page.click("#examples button", "none")
    fewer(page)
    page.solve()
    page.one("#segment").send_keys(Keys.END)
    assert {name.text for name in page.every("#trajectories .name")} == {"✗ not valid"}
    assert not [bar for bar in page.every("#trajectories .bar") if bar.is_displayed() and bar.size["height"]]
    assert page.one("#status").text.startswith("No solution found: none of 4 guesses")
    assert page.one("#abstained").is_displayed()


def test_keys_alone_are_enough(page):
    def press(*keys):
        page.driver.switch_to.active_element.send_keys(*keys)

    def tab_to(css):
        for _ in range(40):
            if page.driver.switch_to.active_element == page.one(css):
                return
            press(Keys.TAB)
        raise AssertionError(f"the tab key does not come to {css}")

    def focused():
        return page.driver.switch_to.active_element.get_attribute("aria-label")

    page.one("body").send_keys(Keys.TAB)
    assert page.driver.switch_to.active_element.find_element("css selector", ".tip").is_displayed()
    tab_to("#board")
    press("4x4")
    page.until(lambda: len(page.cells("#editor .board")[0]) == 16)
    tab_to("#examples button:last-child")
    press(Keys.SPACE)
    tab_to("#editor .cell")
    press("1", Keys.ARROW_DOWN)
    assert focused() == "row 2, column 1"
    press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert focused() == "row 2, column 4"
    assert page.boards("#editor .board")[0].startswith("1")
    tab_to("#solve")
    press(Keys.ENTER)
    page.until(lambda: page.one("#status").text)
    tab_to("#play")
    press(Keys.SPACE)
    tab_to("#segment")
    press(Keys.HOME)
    assert page.one("#segment-value").text == "the puzzle"


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_a_screen_holds_what_matters_and_is_accessible(page, size, is_dark):
    """Solve on the first screen, on the laptop its result too; nothing wider than the screen; axe finds nothing
    serious."""
    page.resize(size)
    page.dark(is_dark)
    page.driver.refresh()
    name = f"{size[0]}-{'dark' if is_dark else 'light'}"
    page.until(lambda: page.boards("#editor .board"))
    assert page.bottom("#solve") <= size[1]
    assert (page.one("#settings").get_attribute("open") is None) == (size == PHONE)
    page.picture(f"{name}-start")
    violations = Axe().run(page.driver)["violations"]
    page.click("#examples button", "none" if is_dark else "4 solutions")
    fewer(page)
    page.solve()
    page.one("#segment").send_keys(Keys.END)
    page.picture(f"{name}-solved")
    if size == LAPTOP:
        assert page.driver.execute_script("return scrollY") == 0
        assert page.bottom("#trajectories figure") <= size[1]
    assert 0 < page.bottom("#solutions figure" if not is_dark else "#abstained") <= size[1]
    assert page.driver.execute_script("return document.documentElement.scrollWidth") <= size[0]
    violations += Axe().run(page.driver)["violations"]
    page.every("#editor .cell")[0].send_keys("1")
    violations += Axe().run(page.driver)["violations"]  # of an outcome that is marked as stale
    grave = [v for v in violations if v["impact"] in ("serious", "critical")]
    assert [(v["id"], [node["target"] for node in v["nodes"]]) for v in grave] == []
