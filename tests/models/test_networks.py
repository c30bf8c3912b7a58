"""One check for every architecture and family: invariance, gradients, saving; then what is peculiar to each."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.conftest import FAMILIES, make_backbone
from tristance.data.actors import Actor, Actors
from tristance.data.errors import UserError
from tristance.models import backbone as backbones
from tristance.models.encoding import actor_item
from tristance.models.heads import MASKED, multitask_loss
from tristance.models.manifest import Manifest
from tristance.models.networks import NetworkScorer, build_encoding, build_network, load_network_scorer, save_network
from tristance.models.registry import ModelConfig

TEXTS = [
    "Lavrov told the West that its era of domination was over.",
    "Pyongyang fired a missile.",
    "Nothing of note happened in Northern Ireland, or so the evening papers say, and who could prove them wrong?",
    "Washington thanked Moscow for the swap.",
]
ACTORS = Actors.load()
CHINA = Actors((Actor("china", "China", "", ("Beijing",)),))
CASES = [("slots", family) for family in FAMILIES] + [("pair", family) for family in FAMILIES]


@pytest.fixture(scope="module")
def backbone_of(tmp_path_factory):
    made = {}

    def make(family):
        if family not in made:
            made[family] = str(make_backbone(family, tmp_path_factory.mktemp("families") / family))
        return made[family]

    return make


@pytest.fixture(params=CASES, ids="-".join)
def case(request, backbone_of):
    architecture, family = request.param
    config = ModelConfig(architecture=architecture, backbone=backbone_of(family))
    torch.manual_seed(0)
    network, tokenizer = build_network(config), backbones.load_tokenizer(config.backbone)
    with torch.no_grad():  # fresh heads are near zero: make answers differ
        for name, parameter in network.named_parameters():
            if parameter.dim() > 1 and name.startswith(("extra.", "stance.", "classifier.")):
                parameter.mul_(8)
    return config, network, tokenizer, build_encoding(config, tokenizer)


def scores_of(case, texts=TEXTS, actors=ACTORS, passing=None, batch_size=32):
    _, network, _, encoding = case
    scorer = NetworkScorer(network, encoding, ["favor", "against", "neutral", "unrelated"], "cpu")
    return scorer.score([actor_item(text, actors, passing) for text in texts], batch_size)


def same(first, second, tolerance=2e-5):
    for name in ("stance", "holder", "sentiment"):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), atol=tolerance, err_msg=name)


def test_neither_padding_nor_batch_mates_change_an_answer(case):
    together = scores_of(case)
    same(together, scores_of(case, batch_size=1))
    backwards = scores_of(case, TEXTS[::-1])
    same(
        together,
        replace(
            backwards, stance=backwards.stance[::-1], holder=backwards.holder[::-1], sentiment=backwards.sentiment[::-1]
        ),
    )
    assert np.ptp(together.stance[:, 0, 0]) > 1e-3, "sentences must not all get one answer, or this test proves nothing"


def test_the_answer_for_an_actor_does_not_depend_on_the_order_of_actors(case):
    order = Actors(tuple(reversed(ACTORS.items)))
    plain, reordered = scores_of(case), scores_of(case, actors=order)
    np.testing.assert_allclose(plain.stance, reordered.stance[:, ::-1], atol=2e-5)
    np.testing.assert_allclose(plain.sentiment, reordered.sentiment, atol=2e-5)
    np.testing.assert_allclose(plain.holder, reordered.holder[:, ::-1][..., [0, 1, 4, 3, 2]], atol=2e-5)


def test_an_actor_asked_in_passing_changes_no_other_answer(case):
    plain, more = scores_of(case), scores_of(case, passing=CHINA)
    np.testing.assert_allclose(plain.stance, more.stance[:, :3], atol=2e-5)
    np.testing.assert_allclose(plain.sentiment, more.sentiment, atol=2e-5)
    np.testing.assert_allclose(plain.holder, more.holder[:, :3, :5], atol=2e-5)
    assert (more.holder[:, :3, 5] == 0).all(), "it may hold no stance but its own"
    assert (more.holder[:, 3, 5] > 0).all()


def test_every_trainable_weight_gets_a_gradient(case):
    _, network, _, encoding = case
    network.eval()
    arrays = encoding([actor_item(text, ACTORS) for text in TEXTS])
    output = network(**{name: torch.from_numpy(array) for name, array in arrays.items()})
    labels = {
        "stance_labels": torch.tensor([[0, 1, 2]] * 4),
        "holder_labels": torch.tensor([[0, 1, 3]] * 4),
        "sentiment_labels": torch.tensor([0, 1, 2, 0]),
        "stance_allowed": torch.ones(4, 4, dtype=torch.bool),
    }
    multitask_loss(output, labels, task_weights={}).backward()
    without = [
        name for name, parameter in network.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    # what a family has beyond what any input reaches: biases that a softmax cancels, positions behind the text
    unreachable = ("key.bias", "key_proj.bias", "rel_embeddings", "position_embeddings", "token_type_embeddings")
    assert [name for name in without if not name.endswith(unreachable) and "rel_embeddings" not in name] == []


def test_a_saved_network_answers_as_before(case, tmp_path):
    config, network, tokenizer, _ = case
    before = scores_of(case)
    manifest = Manifest(config.architecture, ACTORS.as_list(), dict(config.encoding_options()))
    save_network(tmp_path, network, tokenizer, manifest)
    again = load_network_scorer(tmp_path, Manifest.read(tmp_path), "cpu")
    loaded = again.score([actor_item(text, ACTORS) for text in TEXTS])
    assert np.array_equal(before.stance, loaded.stance)
    assert np.array_equal(before.holder, loaded.holder)
    assert np.array_equal(before.sentiment, loaded.sentiment)
    assert not list(tmp_path.glob("*.bin")), "safetensors only"


def test_full_attention_lets_slots_see_each_other(backbone_of):
    answers = {}
    for attention in ("isolated", "full"):
        config = ModelConfig.model_validate({"backbone": backbone_of("bert"), "slots": {"attention": attention}})
        torch.manual_seed(0)
        network = build_network(config)
        case = (config, network, None, build_encoding(config, backbones.load_tokenizer(config.backbone)))
        answers[attention] = scores_of(case), scores_of(case, actors=Actors(ACTORS.items[:1]))
    alone, among = answers["isolated"][1].stance[:, 0], answers["isolated"][0].stance[:, 0]
    np.testing.assert_allclose(alone, among, atol=2e-5)
    alone, among = answers["full"][1].stance[:, 0], answers["full"][0].stance[:, 0]
    assert np.abs(alone - among).max() > 1e-6


def test_a_target_blind_network_gives_all_actors_one_answer(backbone_of):
    config = ModelConfig.model_validate({"backbone": backbone_of("bert"), "slots": {"anonymous": True}})
    case = (config, build_network(config), None, build_encoding(config, backbones.load_tokenizer(config.backbone)))
    stance = scores_of(case).stance
    np.testing.assert_allclose(stance[:, 0], stance[:, 1], atol=1e-6)
    np.testing.assert_allclose(stance[:, 0], stance[:, 2], atol=1e-6)


def test_fewer_layers(backbone_of):
    network = build_network(ModelConfig(backbone=backbone_of("bert"), layers=1))
    assert {name.split(".")[3] for name in network.state_dict() if ".layer." in name} == {"0"}


@pytest.mark.parametrize("architecture", ["slots", "pair"])
@pytest.mark.parametrize("family", ["bert", "deberta-v2"])
def test_layers_that_are_listed(architecture, family, backbone_of, tmp_path):
    config = ModelConfig(architecture=architecture, backbone=backbone_of(family), layers=(1,))
    network, whole = build_network(config), build_network(config.model_copy(update={"layers": None}))
    kept = {name: value for name, value in network.state_dict().items() if ".layer.0." in name}
    assert kept
    assert not any(".layer.1." in name for name in network.state_dict())
    for name, value in kept.items():
        assert torch.equal(value, whole.state_dict()[name.replace(".layer.0.", ".layer.1.")]), name
    tokenizer = backbones.load_tokenizer(config.backbone)
    case = (config, network, tokenizer, build_encoding(config, tokenizer))
    save_network(tmp_path, network, tokenizer, Manifest(architecture, ACTORS.as_list(), config.encoding_options()))
    again = load_network_scorer(tmp_path, Manifest.read(tmp_path), "cpu")
    same(scores_of(case), again.score([actor_item(text, ACTORS) for text in TEXTS]), 0)


def test_layers_of_different_kinds_cannot_stand_in_for_each_other(backbone_of):
    with pytest.raises(UserError, match=r"model\.layers: found \[1\]; allowed for this backbone: a number"):
        build_network(ModelConfig(backbone=backbone_of("modernbert"), layers=(1,)))
    network = build_network(ModelConfig(backbone=backbone_of("modernbert"), layers=1))
    assert not any(".layers.1." in name for name in network.state_dict())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_trained_network_is_a_backbone_with_heads(family, backbone_of, tmp_path):
    config = ModelConfig(backbone=backbone_of(family))
    network, tokenizer = build_network(config), backbones.load_tokenizer(config.backbone)
    save_network(tmp_path, network, tokenizer, Manifest("slots", ACTORS.as_list(), config.encoding_options()))
    changed = ModelConfig.model_validate(
        {"backbone": str(tmp_path), "layers": 1, "dropout": 0.3, "slots": {"attention": "isolated"}}
    )
    student = build_network(changed)
    taught = network.state_dict()
    for name, value in student.state_dict().items():
        assert torch.equal(value, taught[name]), name
    assert {"marker", "stance.1.weight", "extra.holder.query.weight"} <= set(student.state_dict())
    assert student.config.head_dropout == 0.3
    assert len(student.state_dict()) < len(taught)


def test_the_pair_model_loads_in_the_stock_pipeline_without_tristance(tmp_path, backbone_of):
    config = ModelConfig(architecture="pair", backbone=backbone_of("bert"))
    torch.manual_seed(0)
    network, tokenizer = build_network(config), backbones.load_tokenizer(config.backbone)
    case = (config, network, tokenizer, build_encoding(config, tokenizer))
    save_network(tmp_path, network, tokenizer, Manifest("pair", ACTORS.as_list(), dict(config.encoding_options())))
    expected = scores_of(case).stance[3, 1]
    script = (
        "import sys; sys.modules['tristance'] = None\n"  # whoever imports it fails
        "from transformers import pipeline\n"
        f"p = pipeline('text-classification', model={str(tmp_path)!r}, top_k=None, device='cpu')\n"
        f"found = p({{'text': {TEXTS[3]!r}, 'text_pair': 'Russia'}})\n"
        "print({row['label']: row['score'] for row in found})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    found = eval(done.stdout.strip().splitlines()[-1])
    assert found == pytest.approx(
        dict(zip(("favor", "against", "neutral", "unrelated"), expected.tolist(), strict=True)), abs=1e-5
    )


@pytest.mark.parametrize(
    "first",
    [
        "import tristance.models; from transformers import pipeline",
        "from transformers import pipeline; import tristance.models",
    ],
)
def test_slots_come_with_a_pipeline_of_their_own(trained, first):
    script = f"{first}\np = pipeline('stance', model={str(trained.model)!r}, device='cpu')\nprint(p({TEXTS[:2]!r}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    from tristance.models import StanceClassifier

    expected = [
        prediction.as_dict()
        for prediction in StanceClassifier.from_pretrained(trained.model, device="cpu").predict(TEXTS[:2])
    ]
    found = eval(done.stdout.strip().splitlines()[-1])
    assert [row["stance"] for row in found] == [row["stance"] for row in expected]
    assert found[0]["probabilities"]["stance"]["west"] == pytest.approx(
        expected[0]["probabilities"]["stance"]["west"], abs=1e-3
    )


@pytest.fixture
def stance_pipeline(trained):
    from transformers import pipeline

    import tristance.models  # noqa: F401 - registers the task

    return pipeline("stance", model=str(trained.model), device="cpu")


def test_the_pipeline_batches(stance_pipeline):
    sizes = []
    stance_pipeline.model.register_forward_pre_hook(
        lambda _, __, inputs: sizes.append(len(inputs["input_ids"])), with_kwargs=True
    )
    alone = [stance_pipeline(text) for text in TEXTS]
    together = stance_pipeline(TEXTS, batch_size=3)
    assert sizes == [1, 1, 1, 1, 3, 1]
    for one, other in zip(alone, together, strict=True):
        assert one["stance"] == other["stance"]
        for actor, found in one["probabilities"]["stance"].items():
            assert other["probabilities"]["stance"][actor] == pytest.approx(found, abs=1e-3)
    assert list(stance_pipeline(text for text in TEXTS)) == alone


def test_the_pipeline_reads_actors_and_tokenizer_once(stance_pipeline, monkeypatch):
    def again(*_, **__):
        raise AssertionError

    monkeypatch.setattr(Actors, "from_list", again)
    monkeypatch.setattr("tristance.models.pipeline.raw_tokenizer", again)
    assert len(stance_pipeline(TEXTS[:2])) == 2


def test_the_pipeline_refuses_what_it_does_not_know(stance_pipeline):
    with pytest.raises(TypeError, match="found top_k; allowed: batch_size, num_workers"):
        stance_pipeline(TEXTS[0], top_k=2)


def test_masked_labels_count_for_nothing(backbone_of):
    config = ModelConfig(backbone=backbone_of("bert"))
    network, encoding = build_network(config).eval(), build_encoding(config, backbones.load_tokenizer(config.backbone))
    arrays = encoding([actor_item(text, ACTORS) for text in TEXTS])
    output = network(**{name: torch.from_numpy(array) for name, array in arrays.items()})
    labels = {
        "stance_labels": torch.tensor([[0, MASKED, 2]] * 4),
        "holder_labels": torch.full((4, 3), MASKED),
        "sentiment_labels": torch.full((4,), MASKED),
        "stance_allowed": torch.ones(4, 4, dtype=torch.bool),
    }
    loss = multitask_loss(output, labels, task_weights={})
    expected = torch.nn.functional.cross_entropy(
        output.stance_logits[:, [0, 2]].reshape(-1, 4), torch.tensor([0, 2] * 4)
    )
    torch.testing.assert_close(loss, expected)


def test_logits_keep_to_the_labels_of_the_set(backbone_of):
    config = ModelConfig(backbone=backbone_of("bert"))
    network, encoding = build_network(config), build_encoding(config, backbones.load_tokenizer(config.backbone))
    scorer = NetworkScorer(network, encoding, ["favor", "against", "neutral"], "cpu")
    stance = scorer.score([actor_item(text, ACTORS) for text in TEXTS]).stance
    assert (stance[..., 3] == 0).all()
    np.testing.assert_allclose(stance.sum(-1), 1, atol=1e-5)
