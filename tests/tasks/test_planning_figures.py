"""Pictures of plans: text, maps with answers, many answers on one map, and what a run leaves."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from matplotlib.colors import to_hex
from plain_maps import board
from scripts import CONF, experiment, script

from gram_pyro.tasks.planning.task import BLUE, OKABE_ITO, RED, Planning


def test_render():
    task = Planning(n=2, columns=3, min_distance=1)
    x, y = board("S.. #.G"), board("S*- #*G")
    assert task.render(x).splitlines() == ["+-------+", "| S . . |", "| # . G |", "+-------+"]
    assert task.render(x, y).splitlines()[1:3] == ["| S . . |     | S * - |", "| # . G |     | # * G |"]


def places(collection):
    return [tuple(map(int, xy)) for xy in collection.get_offsets()]


def test_draw():
    """A fork, a wall painted over and an undecided cell; columns and rows of what is blue and red."""
    task = Planning(n=3, min_distance=1)
    x, y = board("S.. #.. ..G"), board("S** *** .-G")
    figure, axes = plt.subplots()
    task.draw(axes, x)
    assert not axes.collections[2:] and [t.get_text() for t in axes.texts] == ["S", "G"]  # 2: the lines of the grid
    assert axes.images[0].get_array()[:, :, 0].round(2).tolist() == [[1, 1, 1], [0.35, 1, 1], [1, 1, 1]]
    axes.clear()
    task.draw(axes, x, y)
    lines, good, bad, framed, crossed = axes.collections[2:]
    assert len(lines.get_segments()) == 6 and to_hex(lines.get_color()[0]).upper() == BLUE
    assert (places(good), places(bad)) == ([(2, 0), (1, 1)], [(1, 0), (2, 1)])
    assert (places(framed), places(crossed)) == ([], [(0, 1)])
    assert [to_hex(c.get_edgecolor()[0]).upper() for c in (good, bad, crossed)] == [BLUE, RED, RED]
    assert [(t.get_text(), t.get_position()) for t in axes.texts[2:]] == [("?", (0, 2))]
    axes.clear()
    task.draw(axes, x, board("S-- #-- --G"))
    assert places(axes.collections[5]) == [(0, 0), (2, 2)]
    plt.close(figure)


def test_draw_plans():
    """Lines of one plan are an even shift of the cells' centres, lines of two plans differ in shift, and the legend
    counts answers: the six most frequent plans, the rest, and wrong ones."""
    task = Planning(n=4)
    x = board("S... .... .... ...G")
    plans, wrong = task.grid.plans(x[None]).solutions, board("S--- ---- ---- ---G")
    figure, axes = plt.subplots()
    answers = torch.cat([plans[:8], plans[:6], plans[3:5], plans[4:5], wrong[None]])
    task.draw_plans(axes, x, answers)
    lines = axes.collections[2:]
    assert [c.get_label() for c in lines] == ["4", "3", "2", "2", "2", "2", "2 in 2 others", "1 wrong"]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == [c.get_label() for c in lines]
    assert [to_hex(c.get_color()[0]).upper() for c in lines[:6]] == list(OKABE_ITO)
    shifts = []
    for index, drawn in zip([4, 3], lines, strict=False):
        ends = torch.tensor(np.array(drawn.get_segments()))  # [steps, 2, (column, row)]
        cells, shift = ends.round(), (ends - ends.round())[0, 0, 0].item()
        assert torch.allclose(ends - cells, torch.tensor(shift)) and len(ends) == 6
        used = cells.flatten(0, 1).long().unique(dim=0).tolist()
        marked = task.grid.on_path(x, plans[index]).nonzero().flatten().tolist()
        assert sorted(row * 4 + column for column, row in used) == marked
        shifts.append(shift)
    assert len(lines[-2].get_segments()) == 12 and abs(shifts[0] - shifts[1]) > 0.05
    axes.clear()
    task.draw_plans(axes, x, wrong[None].expand(3, -1))
    assert [c.get_label() for c in axes.collections[2:]] == ["3 wrong"]
    plt.close(figure)


def test_experiment(tmp_path, monkeypatch):
    """experiment=smoke fits the task, and the figure says what was found."""
    with initialize_config_dir(str(CONF), version_base=None):
        task = instantiate(compose("svi_planning", overrides=["experiment=smoke", "run_dir=x"]).task)
    assert (task.num_cells, task.train.num_puzzles, task.test["maps"].num_puzzles) == (16, 40, 8)
    maps = task.test["maps"].select((task.test["maps"].num_solutions > 1).nonzero().flatten()[:2])
    first, second = maps.solutions_of(0), maps.solutions_of(1)
    answers = torch.stack(
        [torch.stack(pair) for pair in ((first[0], second[0]), (first[0], second[1]), (maps.x[0], second[1]))]
    )
    svi_planning, kept = experiment("svi_planning"), []
    with monkeypatch.context() as patch:
        patch.setattr(svi_planning.plt, "close", kept.append)
        svi_planning.plans_figure(task, maps, answers, tmp_path / "plans.png")
    assert [axes.get_title() for axes in kept[0].axes] == [
        f"2 of 3 answers right, 1 of {len(first)} plans",
        f"3 of 3 answers right, 2 of {len(second)} plans",
    ]
    assert (tmp_path / "plans.png").stat().st_size > 0
    plt.close(kept[0])


def test_a_run_ends_with_a_picture_of_plans(tmp_path):
    """And without one where there are no trajectories."""
    light = ("experiment=smoke", "train.precision=fp32", "baselines.deterministic=null", "task.num_test=20")
    script("svi_planning", *light, f"run_dir={tmp_path / 'gram'}")
    assert (tmp_path / "gram" / "plans.png").stat().st_size > 5000
    folder = tmp_path / "diffusion"
    script("svi_planning", *light, "method=masked_diffusion", "baseline.num_layers=1", f"run_dir={folder}")
    assert (folder / "results.json").is_file() and not (folder / "plans.png").exists()
