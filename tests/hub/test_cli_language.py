"""What the commands print is in the language of the terminal; JSON is the same in every language."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from offers.federation import NOW, centre, dataset
from perijove.hub.broker.offer_views import offers as view
from perijove.hub.broker.views import fault_view
from perijove.hub.cli import api, main
from perijove.hub.cli.tables import width
from perijove.hub.offers.find import CentreNow, QueueNow, find
from perijove.hub.offers.ranges import rounded
from perijove.spawners.request import BadRequest

BROKER = api.Api
NATIONAL = Path(__file__).parents[2] / "deploy/centres/national"
QUICK = rounded((0, 60, 120, 300, 900), "both", 84, 7)
SMALL = {"name": "cpu", "cores": 8, "memory": "32G", "max_time": "4h", "price": {"core_hour": "0.1"}}
CENTRES = {
    "alpha": centre("alpha", queues=[SMALL], datasets=[dataset("era5")]),
    "beta": centre("beta", queues=[{**SMALL, "name": "big", "cores": 64}]),
}
SESSION = {"id": "abc", "owner": "alice", "centre": "天津", "queue": "cpu", "stage": "queued", "reason": "resources"}
WATCHER = {
    "id": "tianjin",
    "answering": False,
    "lease": "nobody",
    "problem": "unreachable",
    "detail": "no route",
    "sessions": {"queued": 2, "ready": 1},
    "drained": {"by": "root", "since": "14:00"},
}


def run(*arguments: object, language: str = "zh_CN.UTF-8") -> Result:
    environment = {"PERIJOVE_TOKEN": "t" * 20, "LC_ALL": "", "LC_MESSAGES": "", "LANG": language}
    return CliRunner().invoke(main, [str(argument) for argument in arguments], env=environment)


def answer(request: httpx.Request) -> httpx.Response:
    """What a gateway with two centres, one session and one silent centre answers."""
    found: dict[str, Any] = {
        "sessions": {"sessions": [SESSION, {"id": "def", "stage": "ready", "reason": ""}]},
        "events": {
            "events": [
                {
                    "id": 1,
                    "at": "08:00",
                    "stage": "ended",
                    "code": "ended",
                    "values": {"outcome": "walltime", "detail": ""},
                }
            ]
        },
        "watchers": {"watchers": [WATCHER]},
    }
    last = request.url.path.rpartition("/")[2]
    if last != "offers":
        return httpx.Response(200, json=found[last]) if last in found else httpx.Response(404)
    known = {"alpha": CentreNow({"cpu": QueueNow(lambda cores, walltime: QUICK)}, NOW)}
    try:
        return httpx.Response(200, json=view(find(json.loads(request.content), CENTRES, known, NOW), NOW))
    except BadRequest as bad:
        faults = [fault_view(fault) for fault in bad.faults]
        return httpx.Response(400, json={"error": "bad-request", "message": str(bad), "faults": faults})


def double(monkeypatch: pytest.MonkeyPatch, answer: Callable[[httpx.Request], httpx.Response]) -> None:
    """Puts a double in the place of the broker."""

    class Doubled(BROKER):
        def __init__(self, url: str, token: str) -> None:
            super().__init__(url, token, httpx.MockTransport(answer))

    monkeypatch.setattr(api, "Api", Doubled)


@pytest.fixture(autouse=True)
def gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    double(monkeypatch, answer)


def columns(text: str, titles: list[str]) -> list[int]:
    """The cells of the terminal at which the columns of a table begin, after it was seen to have these `titles`."""
    head = text.splitlines()[0]
    assert head.split() == titles
    return [width(head[: head.index(title)]) for title in titles]


def begins(line: str, word: str) -> int:
    return width(line[: line.index(word)])


def test_offers_are_told_with_their_amounts() -> None:
    result = run("offers", "--cores", 4, "--hours", 2, "--prefer", "start", "--data", "era5")
    assert result.exit_code == 0, result.output
    head = ["超算中心", "队列", "通常多久启动", "九成在此之内", "依据", "最多花费", "数据"]
    at = columns(result.output, head)
    best, other = result.output.splitlines()[1:3]
    words = ["alpha", "cpu", "60 秒-5 分钟", "0-15 分钟", "7 天内 84 次启动", "0.8 点", "era5"]
    assert [begins(best, word) for word in words] == at
    assert "尚无记录" in other and "缺 era5" in other
    assert "* 推荐：alpha，队列 cpu：最快启动，有数据 era5" in result.output


def test_what_does_not_fit_is_told_with_what_would_help() -> None:
    result = run("offers", "--cores", 100, "--hours", 9.5)
    assert result.exit_code == 1
    assert "没有超算中心能满足此请求" in result.output
    assert "队列 cpu 最多 8 核。" in result.output and "最多申请 8 核" in result.output
    assert result.output.count("最多申请 4小时") == 2


def test_a_refusal_of_the_gateway_is_told() -> None:
    assert "centre: 没有名为“nowhere”的中心。" in run("offers", "--centre", "nowhere").stderr
    assert "/sessions/abc 没有任何内容" in run("sessions", "show", "abc").stderr
    assert "内存应为 MiB 数" in run("offers", "--memory", "much").stderr


@pytest.mark.parametrize("faults", ["x", ["x"], [{}], [{"field": "a", "code": "b", "values": [1]}]], ids=str)
def test_a_refusal_that_is_malformed_is_told_by_its_message(monkeypatch: pytest.MonkeyPatch, faults: object) -> None:
    double(monkeypatch, lambda request: httpx.Response(400, json={"message": "not so", "faults": faults}))
    result = run("sessions", "show", "abc")
    assert result.exit_code == 1
    assert "返回 400：not so" in result.stderr


def test_sessions_are_listed_with_the_words_of_the_pages() -> None:
    result = run("sessions", "list")
    head = ["编号", "用户", "服务器名", "超算中心", "队列", "状态", "原因", "作业号", "节点", "创建时间"]
    at = dict(zip(head, columns(result.output, head), strict=True))
    row, other = result.output.splitlines()[1:]
    assert other.split() == ["def", "运行中"]
    places = {"状态": "排队中", "原因": "暂无空闲节点", "超算中心": "天津"}
    assert {title: begins(row, word) for title, word in places.items()} == {title: at[title] for title in places}
    assert "08:00 已结束 会话已结束：" in run("sessions", "events", "abc").output
    assert "“A”不是会话编号" in run("sessions", "stop", "A").stderr


def test_centres_are_listed_with_their_chinese_names() -> None:
    lines = run("centres", NATIONAL).output.splitlines()
    titles = ["名称", "调度系统", "内存", "最长时间", "每核时", "开放"]
    wuxi = next(line for line in lines if line.startswith("wuxi"))
    words = ["国家超级计算无锡中心", "lsf", "128 GiB", "2天", "0.1", "是"]
    assert [begins(wuxi, word) for word in words] == [begins(lines[0], title) for title in titles]


def test_the_health_of_centres_is_told() -> None:
    head, row = run("centres", "health").output.splitlines()
    assert [begins(row, word) for word in ("否", "无进程", "2 排队中", "停止接收")] == [
        begins(head, title) for title in ("应答", "负责进程", "会话", "接收新会话")
    ]
    assert "2 排队中, 1 运行中" in row
    assert row.endswith("无法连接登录节点。 no route")


@pytest.mark.parametrize(
    "arguments",
    [
        ("offers", "--cores", "16", "--json"),
        ("sessions", "list", "--json"),
        ("centres", "health", "--json"),
        ("centres", NATIONAL, "--json"),
        ("doctor", "--json"),
    ],
    ids=lambda arguments: " ".join(map(str, arguments[:2])),
)
def test_json_is_the_same_in_every_language(arguments: tuple[object, ...]) -> None:
    chinese, english = run(*arguments), run(*arguments, language="C")
    assert json.loads(chinese.stdout) == json.loads(english.stdout)


def test_the_doctor_tells_what_it_found() -> None:
    lines = run("doctor").stdout.splitlines()
    assert lines[1] == "本机"
    assert lines[2].startswith("  正常 Python 版本: 3.")
    assert "未检测任何中心" in run("doctor").stderr
