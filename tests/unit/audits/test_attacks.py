"""The audit *attacks* on the tiny detector, a linear function of brightness: budgets are known."""

import hashlib
import json

import cv2
import numpy as np
import polars as pl
import pytest
from PIL import Image

import faceproof
from faceproof.audits import attack_scores, attacks, sampled_faces
from faceproof.audits import context as contexts
from faceproof.errors import MissingExtraError

CONDITIONS = ("clean", "jpeg-75", "dark", "blur-1")
COUNT = 24
LEVEL = {"real": 130, "fake": 140}
"""Called fake from 133.96, real below 121.04: 4 grey levels frame a real face, 7 free a fake."""


@pytest.fixture
def manifest(tmp_path):
    """Grainy pictures of exactly 130 (real) and 140 (fake) grey levels, as large as the crop."""
    rows = []
    for n in range(COUNT):
        label = ("real", "fake")[n % 2]
        grain = cv2.GaussianBlur(np.random.default_rng(n).normal(size=(32, 32, 3)), (0, 0), 2)
        grain = np.rint(300 * (grain - grain.mean()))
        path = tmp_path / f"{n}.png"
        Image.fromarray((LEVEL[label] + grain).clip(0, 255).astype(np.uint8)).save(path)
        generator = "none" if label == "real" else "lamp"
        rows.append(
            (
                f"{n}.png",
                label,
                generator,
                "home",
                "test",
                f"g{n}",
                hashlib.sha256(path.read_bytes()).hexdigest(),
            )
        )
    names = ("path", "label", "generator", "source", "split", "group", "sha256")
    pl.DataFrame(rows, schema=names, orient="row").write_csv(tmp_path / "m.csv")
    return tmp_path / "m.csv"


def damage(manifest, wrong=(), missing=()):
    """Darken some pictures so that their fakes pass, and remove others."""
    table = pl.read_csv(manifest)
    for n in wrong:
        path = manifest.parent / f"{n}.png"
        with Image.open(path) as picture:
            Image.fromarray(np.asarray(picture) // 2).save(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        table[n, "sha256"] = digest
    for n in missing:
        (manifest.parent / f"{n}.png").unlink()
    table.write_csv(manifest)


@pytest.fixture
def run(monkeypatch, tiny_bundle, manifest, tmp_path):
    few = contexts.Scoring(CONDITIONS, contexts.SCORINGS["degraded"].cell)
    monkeypatch.setitem(contexts.SCORINGS, "degraded", few)

    def run(folder="out", **changes):
        ask = {"only": ["attacks"], "output": tmp_path / folder, "faces": "whole", **changes}
        return faceproof.audit(tiny_bundle, manifest, **ask)["attacks"]

    return run


@pytest.fixture
def without_torch(monkeypatch):
    def missing(*_, **__):
        raise MissingExtraError("torch", extra="train")

    monkeypatch.setattr(attack_scores, "require", missing)


class TestWithoutTorch:
    @pytest.fixture
    def found(self, run, without_torch):
        return run()

    def test_it_says_what_to_install_and_runs_the_rest(self, found):
        told = [one for one in found.cautions if one.startswith("Attacks by gradients")]
        assert len(told) == 1
        assert "fgsm, pgd, pgd-l2" in told[0]
        assert "torch is not installed" in told[0]
        assert found.measured
        assert set(found.table("attacks").column("attack")) == {"square"}
        assert found.table("laundering").column("condition") == ("jpeg-75", "blur-1", "any")

    def test_sizes_are_stated(self, found):
        sizes = dict(found.table("sizes").rows)
        assert (sizes["pictures_drawn"], sizes["faces"], sizes["detected_fakes"]) == (24, 24, 12)
        assert (sizes["crop_px"], sizes["torch_difference"]) == (32, None)

    def test_findings_are_named_as_attacks_and_hold_at_the_operating_point(self, found):
        named = {(one.condition, one.metric): one for one in found.findings}
        assert named["unattacked", "accuracy@balanced"].value == 1.0
        square = named["square-8x100", "recall@balanced"]
        row = found.table("attacks").frame().row(0, named=True)
        assert square.value == pytest.approx(1 - row["evaded"])

    def test_scores_in_the_folder_are_not_made_again(self, run, found, tmp_path, monkeypatch):
        (tmp_path / "out" / "attacks.json").unlink()
        monkeypatch.setattr(attack_scores, "square_attack", None)
        assert run() == found

    def test_a_killed_attack_resumes_where_it_was(self, run, without_torch, monkeypatch):
        monkeypatch.setattr(attack_scores, "_CHUNK", 5)
        attack, sizes = attack_scores.square_attack, []

        def killed(judge, crops, *rest, **how):
            if len(sizes) == 2:
                raise KeyboardInterrupt
            sizes.append(len(crops))
            return attack(judge, crops, *rest, **how)

        monkeypatch.setattr(attack_scores, "square_attack", killed)
        with pytest.raises(KeyboardInterrupt):
            run()
        sizes[:] = [0, 0, 0]
        resumed = run()
        assert sizes == [0, 0, 0, 5, 5, 4], "the first two chunks of 24 faces were kept"
        assert resumed == run(folder="whole")

    def test_enough_faces_are_attacked_although_some_are_wrong_or_unreadable(
        self, run, without_torch, manifest, monkeypatch
    ):
        monkeypatch.setattr(sampled_faces, "EACH", 6)
        damage(manifest, wrong=range(1, 9, 2), missing=(0, 2))
        found = run()
        sizes = dict(found.table("sizes").rows)
        assert (sizes["detected_fakes"], sizes["spared_real_faces"]) == (6, 6)
        assert set(found.table("attacks").column("detected_fakes")) == {6}
        assert any("on 6 fakes called fake unchanged and 6 real" in one for one in found.cautions)
        assert not any("could be attacked" in one for one in found.cautions)

    def test_too_few_faces_to_attack_are_stated(self, run, without_torch, manifest, monkeypatch):
        monkeypatch.setattr(sampled_faces, "EACH", 6)
        damage(manifest, wrong=range(1, 23, 2))
        found = run()
        assert dict(found.table("sizes").rows)["detected_fakes"] == 1
        told = "Fewer than 6 faces of each class were right unchanged and could be attacked."
        assert told in found.cautions

    def test_scores_of_other_faces_are_made_again(self, run, found, tmp_path):
        file = tmp_path / "out" / "scores-square.json"
        kept = json.loads(file.read_text())
        file.write_text(json.dumps({**kept, "of": "0" * 64}))
        (tmp_path / "out" / "attacks.json").unlink()
        assert run() == found
        assert json.loads(file.read_text()) == kept

    def test_a_limit_is_a_number_of_faces_of_each_class(self, run, without_torch):
        found = run(folder="few", most=3)
        assert dict(found.table("sizes").rows)["faces"] == 6


@pytest.mark.train
class TestWithTorch:
    @pytest.fixture
    def network(self, monkeypatch):
        """Replace the networks by the tiny detector in torch, times a factor."""
        torch = pytest.importorskip("torch")
        from faceproof.audits import white_box

        class Bright(torch.nn.Module):
            def __init__(self, factor):
                super().__init__()
                self.factor = factor

            def forward(self, inputs):
                return self.factor * (4 * inputs.mean((1, 2, 3)) + 0.5)

        def use(factor=1.0):
            monkeypatch.setattr(white_box, "member_network", lambda *_: Bright(factor))

        return use

    def test_the_smallest_budgets_of_a_linear_network_are_found(self, run, network):
        network()
        found = run()
        budgets = {row[0]: row[3:] for row in found.table("budgets").rows}
        assert budgets["fgsm"] == ("1, 2, 4, 8", 8.0, None, 4.0)
        assert budgets["pgd"] == ("1, 2, 4", None, None, 4.0)
        assert budgets["pgd-l2"] == ("0.25, 0.5, 1", None, None, None)
        assert any("changes of 8 grey levels (fgsm-8) let 100.0 %" in one for one in found.details)
        assert ", 100.0 % (75.8 to 100.0) with the weights (8 grey levels)." in found.answer
        assert dict(found.table("sizes").rows)["torch_difference"] < 1e-5

    def test_rates_are_of_the_faces_that_were_right_unchanged(self, run, network):
        network()
        table = run().table("attacks").frame()
        rows = {(one["condition"], one["pixels"]): one for one in table.iter_rows(named=True)}
        eight = rows["fgsm-8", "8 bits"]
        assert (eight["detected_fakes"], eight["real_faces"]) == (12, 12)
        assert (eight["evaded"], eight["called_real"], eight["called_fake"]) == (1.0, 0.0, 1.0)
        assert (eight["accuracy"], rows["fgsm-2", "8 bits"]["accuracy"]) == (0.0, 1.0)
        assert rows["fgsm-2", "8 bits"]["roc_auc"] == 1.0
        assert eight["l2_of_pixels"] == pytest.approx(8 / 255 * np.sqrt(3 * 32 * 32))
        assert rows["fgsm-8", "unrounded"]["evaded"] == 1.0
        half = rows["pgd-l2-0.25x10", "8 bits"]
        assert half["accuracy"] == 1.0, "a quarter of a grey level is lost in a file"

    def test_an_attacked_fake_below_the_real_faces_counts_in_the_auc(self, run, network):
        network()
        assert attacks.ATTACKS["fgsm"].budgets[-1] == 8
        rows = run().table("attacks").frame().filter(pl.col("condition") == "fgsm-8")
        assert rows["roc_auc"].to_list() == [1.0, 1.0], "140 - 8 is still above 130"

    def test_a_network_other_than_the_running_one_is_refused(self, run, network):
        network(1.1)
        found = run()
        assert set(found.table("attacks").column("attack")) == {"square"}
        assert any("the running network differ by" in one for one in found.cautions)

    def test_each_attack_is_kept_by_itself(self, run, network, tmp_path, monkeypatch):
        network()
        found = run()
        names = {path.name for path in (tmp_path / "out").glob("scores-*")}
        assert names == {f"scores-{name}.json" for name in ("square", "fgsm", "pgd", "pgd-l2")}
        (tmp_path / "out" / "attacks.json").unlink()
        monkeypatch.setattr(attack_scores, "_attack_chunk", None)
        assert run() == found
