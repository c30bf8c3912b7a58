"""The loss of a student: against sums done by hand, zero where it says what its teacher says, blind to the absent."""

from __future__ import annotations

import math

import pytest
import torch

from tristance.models.heads import StanceOutput, distillation_loss

ALL = torch.ones(1, 4, dtype=torch.bool)
ONE_TASK = {
    task: {each: float(each == task) for each in ("stance", "holder", "sentiment")}
    for task in ("stance", "holder", "sentiment")
}


def row(stance, holder, sentiment):
    """A sentence with one slot: logits of a student, or the logs of a teacher's probabilities."""
    return torch.tensor([[stance]]), torch.tensor([[holder]]), torch.tensor([sentiment])


def student(*parts):
    return StanceOutput(None, *parts)


def teacher(*parts):
    names = ("teacher_stance", "teacher_holder", "teacher_sentiment")
    return {name: part.softmax(-1) for name, part in zip(names, parts, strict=True)}


def kl(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a)


def test_each_task_as_computed_by_hand():
    log = math.log
    said = row([log(0.5), log(0.3), log(0.1), log(0.1)], [log(0.6), log(0.2), log(0.2)], [log(0.7), log(0.2), log(0.1)])
    flat = student(*row([0.0] * 4, [0.0] * 3, [0.0] * 3))

    def loss(task, temperature):
        return distillation_loss(flat, teacher(*said), ALL, task_weights=ONE_TASK[task], temperature=temperature).item()

    assert loss("stance", 1) == pytest.approx(kl([0.5, 0.3, 0.1, 0.1], [0.25] * 4), abs=1e-6)
    assert loss("holder", 1) == pytest.approx(kl([0.6, 0.2, 0.2], [1 / 3] * 3), abs=1e-6)
    assert loss("sentiment", 1) == pytest.approx(kl([0.7, 0.2, 0.1], [1 / 3] * 3), abs=1e-6)
    roots = [math.sqrt(p) for p in (0.7, 0.2, 0.1)]  # at temperature 2 a probability becomes its root
    softened = [each / sum(roots) for each in roots]
    assert loss("sentiment", 2) == pytest.approx(4 * kl(softened, [1 / 3] * 3), abs=1e-6)
    together = distillation_loss(
        flat, teacher(*said), ALL, task_weights={"stance": 1.0, "holder": 0.5, "sentiment": 0.5}, temperature=1
    )
    assert together.item() == pytest.approx(loss("stance", 1) + 0.5 * loss("holder", 1) + 0.5 * loss("sentiment", 1))


@pytest.mark.parametrize("temperature", [1, 2, 5])
def test_a_student_like_its_teacher_has_nothing_to_learn(temperature):
    torch.manual_seed(0)
    parts = [3 * torch.randn(shape) for shape in ((2, 3, 4), (2, 3, 5), (2, 3))]
    parts[1][0, 1, 4] = torch.finfo(torch.float32).min  # a slot that may hold nothing
    parts = [part.requires_grad_() for part in parts]
    loss = distillation_loss(
        student(*parts),
        {name: value.detach() for name, value in teacher(*parts).items()},
        ALL.expand(2, -1),
        task_weights={},
        temperature=temperature,
    )
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-5)
    for part in parts:
        assert part.grad.abs().max() == pytest.approx(0, abs=1e-5)


def test_a_slot_that_a_sentence_lacks_counts_for_nothing():
    torch.manual_seed(1)
    outputs, said = ([torch.randn(shape) for shape in ((2, 3, 4), (2, 3, 5), (2, 3))] for _ in range(2))
    soft = teacher(*said)
    soft["teacher_stance"][1, 2], soft["teacher_holder"][1, 2] = 0, 0

    def loss():
        return distillation_loss(student(*outputs), soft, ALL.expand(2, -1), task_weights={}, temperature=2).item()

    before = loss()
    outputs[0][1, 2], outputs[1][1, 2] = 7 * torch.randn(4), 7 * torch.randn(5)
    assert loss() == before
    assert math.isfinite(before)
    outputs[0][1, 1] = 7 * torch.randn(4)
    assert loss() != before, "one that is there counts"


def test_a_label_that_a_set_does_not_have_is_taken_from_the_teacher_too():
    log = math.log
    three = torch.tensor([[True, True, True, False]])
    said = row([log(0.2), log(0.1), log(0.1), log(0.6)], [0.0] * 3, [0.0] * 3)
    asked = student(*row([1.0, 0.0, 0.0, 50.0], [0.0] * 3, [0.0] * 3))
    loss = distillation_loss(asked, teacher(*said), three, task_weights=ONE_TASK["stance"], temperature=1)
    weights = [math.e, 1, 1]
    assert loss.item() == pytest.approx(kl([0.5, 0.25, 0.25], [each / sum(weights) for each in weights]), abs=1e-6)
    sure = {**teacher(*said), "teacher_stance": torch.tensor([[[0.0, 0.0, 0.0, 1.0]]])}
    assert torch.isfinite(distillation_loss(asked, sure, three, task_weights={}, temperature=2))


def test_a_holder_counts_as_far_as_a_stance_is_held():
    log = math.log
    holders = torch.tensor([[[log(0.8), log(0.1), log(0.05), log(0.05)], [log(0.25)] * 4]])
    stances = torch.tensor([[[0.8, 0.1, 0.05, 0.05], [0.1, 0.0, 0.5, 0.4]]])  # held by 0.9 and by 0.1
    soft = {
        "teacher_stance": stances,
        "teacher_holder": holders.softmax(-1),
        "teacher_sentiment": torch.full((1, 3), 1 / 3),
    }
    flat = student(torch.zeros(1, 2, 4), torch.zeros(1, 2, 4), torch.zeros(1, 3))
    loss = distillation_loss(flat, soft, ALL, task_weights=ONE_TASK["holder"], temperature=1)
    assert loss.item() == pytest.approx(0.9 * kl([0.8, 0.1, 0.05, 0.05], [0.25] * 4), abs=1e-6)
    soft["teacher_stance"] = torch.tensor([[[0.0, 0.0, 0.5, 0.5]] * 2])
    assert distillation_loss(flat, soft, ALL, task_weights=ONE_TASK["holder"], temperature=1) == 0, "nobody holds any"
