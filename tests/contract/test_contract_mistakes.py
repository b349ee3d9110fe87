"""Every mistake of a prior, guide, core or task is named in a sentence of its own."""

import pytest
from wrong_cores import WRONG_CORES, WrongCore
from wrong_guides import WRONG_GUIDES, WrongGuide
from wrong_priors import WRONG_PRIORS, Wrong
from wrong_tasks import WRONG_TASKS, Ring

from gram_pyro.contract import ContractError, check_core, check_guide, check_prior, check_task
from gram_pyro.contract.guides import Discrete


def one_sentence(error):
    text = str(error.value)
    return "\n" not in text and ". " not in text.replace("e.g. ", "")


@pytest.mark.parametrize("prior_type", WRONG_PRIORS, ids=lambda cls: cls.__name__)
def test_a_wrong_prior_is_told_what_is_wrong(prior_type):
    with pytest.raises(ContractError, match=WRONG_PRIORS[prior_type]) as error:
        check_prior(prior_type())
    assert one_sentence(error)


def test_what_was_spoilt_was_right_before():
    check_prior(Wrong())
    check_guide(WrongGuide)
    check_core(WrongCore)
    check_task(Ring())


@pytest.mark.parametrize("guide_type", WRONG_GUIDES, ids=lambda cls: cls.__name__)
def test_a_wrong_guide_is_told_what_is_wrong(guide_type):
    with pytest.raises(ContractError, match=WRONG_GUIDES[guide_type]) as error:
        check_guide(guide_type)
    assert one_sentence(error)


def test_a_guide_that_is_none_under_some_priors_is_told_so():
    make = lambda model: None if isinstance(model.prior, Discrete) else WrongGuide(model)  # noqa: E731
    with pytest.raises(ContractError, match="got a NoneType from .*; expected a gram_pyro.Guide"):
        check_guide(make)


@pytest.mark.parametrize("core_type", WRONG_CORES, ids=lambda cls: cls.__name__)
def test_a_wrong_core_is_told_what_is_wrong(core_type):
    with pytest.raises(ContractError, match=WRONG_CORES[core_type]) as error:
        check_core(core_type)
    assert one_sentence(error)


@pytest.mark.parametrize("task_type", WRONG_TASKS, ids=lambda cls: cls.__name__)
def test_a_wrong_task_is_told_what_is_wrong(task_type):
    with pytest.raises(ContractError, match=WRONG_TASKS[task_type]) as error:
        check_task(task_type())
    assert one_sentence(error)
