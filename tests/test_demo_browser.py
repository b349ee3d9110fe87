"""The demo page in a headless browser, from an example to what is refused."""

import shutil

import pytest
from demo_server import CONFIG, FOUR, needs_weights, running
from plain_rules import queens_solutions, queens_text, sudoku_is_right

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1280,1000"
)
pytestmark = needs_weights


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("demo") / "log") as address:
        yield address


@pytest.fixture
def browser(tmp_path):
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    driver.implicitly_wait(5)
    yield driver
    driver.quit()


@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver on this machine")
def test_in_a_browser_an_example_is_solved_and_a_contradiction_refused(server, browser):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select, WebDriverWait

    one = lambda css: browser.find_element(By.CSS_SELECTOR, css)  # noqa: E731
    every = lambda css: browser.find_elements(By.CSS_SELECTOR, css)  # noqa: E731
    click = lambda css, text: next(e for e in every(css) if text in e.text).click()  # noqa: E731
    until = lambda truth: WebDriverWait(browser, 30).until(lambda _: truth())  # noqa: E731
    read = lambda css: browser.execute_script(  # noqa: E731 - one call for many boards: their cells as text
        "return [...document.querySelectorAll(arguments[0])]"
        ".map(b => [...b.children].map(c => c.value ?? (c.classList.contains('queen') ? '2' : c.textContent || '.')))",
        css,
    )
    boards = lambda css: ["".join(cell or "." for cell in board) for board in read(css)]  # noqa: E731

    browser.get(server)
    click("#boards label", "6x6 Sudoku")
    click("#examples button", "4 solutions")
    assert boards("#editor .board") == [FOUR] and one("#text").get_property("value") == FOUR
    click("button", "Solve")
    until(lambda: "distinct valid" in one("#status").text)
    solutions = boards("#solutions .board")
    assert 1 <= len(solutions) == len(set(solutions)) <= 4
    assert all(sudoku_is_right(FOUR, board, 2, 3) for board in solutions)
    votes = [int(caption.text.split()[0]) for caption in every("#solutions .votes")]

    slider = one("#segment")
    slider.send_keys(Keys.HOME)
    assert set(boards("#trajectories .board")) == {FOUR} and one("#segment-value").text == "the puzzle"
    slider.send_keys(Keys.END)
    trajectories = boards("#trajectories .board")
    assert len(trajectories) == CONFIG.start.particles
    assert votes == [trajectories.count(board) for board in solutions]
    assert len(every("#trajectories figure.right")) == sum(votes)
    one("#play").click()
    until(lambda: "segment 1 " in one("#segment-value").text)
    one("#play").click()
    assert one("#play").text == "Play"
    cells = read("#entropy .board")[0]
    assert all((cell == clue) if clue != "." else float(cell) >= 0 for cell, clue in zip(cells, FOUR, strict=True))

    first = one("#editor .cell")
    first.send_keys("4")  # stands in row 1 already
    assert one("#text").get_property("value").startswith("4") and first.get_attribute("aria-invalid") == "true"
    first.send_keys(Keys.ARROW_RIGHT)
    assert browser.switch_to.active_element.get_attribute("aria-label") == "row 1, column 2"
    click("button", "Solve")
    until(lambda: "clues contradict: 4 stands at row 1, column 1" in one("#error").text)
    one("#editor .cell").send_keys("7")
    assert "write 1 to 6" in one("#error").text

    click("#boards label", "8x8 board of queens")
    Select(one("#sampler")).select_by_value("smc")
    assert not one("#temperature").is_enabled()
    click("#examples button", "7 solutions")
    every("#editor .cell")[7 * 8 + 5].click()
    text = one("#text").get_property("value")
    assert text == "2.1....5"
    click("button", "Solve")
    until(lambda: len(read("#trajectories .board")[0]) == 64)
    found = {queens_text("".join("2" if c == "2" else "1" for c in board)) for board in read("#solutions .board")}
    assert found <= queens_solutions(text) and bool(found) != one("#abstained").is_displayed()
    problems = [entry for entry in browser.get_log("browser") if "status of 400" not in entry["message"]]
    assert problems == []
