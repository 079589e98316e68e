"""What can go wrong with a cluster, in words of the person's language: a code, values, and a sentence that helps."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from perijove.spawners.facts import Facts

#: Code: English and Chinese. What is not here comes from the broker or the head in its own words.
WORDS: dict[str, tuple[str, str]] = {
    "no-gateway": (
        "This is no session of a gateway: say which one is meant, Cluster(gateway='https://...', token='...').",
        "这里不是网关的会话：请指明网关，例如 Cluster(gateway='https://...', token='...')。",
    ),
    "no-token": (
        "{gateway} wants a token: make one on the gateway's token page and give it as token=... "
        "or in JUPYTERHUB_API_TOKEN.",
        "{gateway} 需要令牌：请在网关的令牌页面生成，并用 token=... 或环境变量 JUPYTERHUB_API_TOKEN 提供。",
    ),
    "bad-gateway": (
        "{gateway} is no address of a gateway; it looks like https://hub.example.org.",
        "{gateway} 不是网关地址；网关地址形如 https://hub.example.org。",
    ),
    "centre-needed": (
        "There is no session here beside which a cluster could run: say at which centre, Cluster(centre='...').",
        "这里没有可与集群同处的会话：请指明计算中心，例如 Cluster(centre='...')。",
    ),
    "no-cluster": ("There is no live cluster {name}.", "没有正在运行的集群 {name}。"),
    "name-taken": (
        "A session called {name} is live already and is no cluster: choose another name.",
        "名为 {name} 的会话已在运行，且不是集群：请换一个名称。",
    ),
    "session-ended": (
        "The job of the cluster {name} ended before the cluster was there: {detail}",
        "集群 {name} 的作业在集群就绪之前已结束：{detail}",
    ),
    "unreachable": (
        "The cluster {name} does not answer: {detail} It may go on running; Cluster.list() shows what there is.",
        "集群 {name} 没有响应：{detail} 它可能仍在运行；Cluster.list() 可列出现有集群。",
    ),
    "forbidden": (
        "The gateway does not let this token use the cluster {name}: make a new one, or start a new session.",
        "网关不允许此令牌使用集群 {name}：请生成新令牌，或启动新会话。",
    ),
    "login-needed": (
        "The gateway does not take this token: make a new one on its token page.",
        "网关不接受此令牌：请在其令牌页面生成新的令牌。",
    ),
    "confirm-cost": (
        "That would cost {cost} credits an hour, more than the {limit} from which you are asked first: "
        "add confirm=True if you want it.",
        "这将每小时花费 {cost} 点，超过需要确认的 {limit} 点：如确实需要，请加上 confirm=True。",
    ),
    "limit-workers": (
        "One person may have {most} workers at this centre; you have {used} and asked for {asked} more.",
        "每人在该中心最多可有 {most} 个工作进程；现有 {used} 个，又请求了 {asked} 个。",
    ),
    "limit-cores": (
        "One person's workers may have {most} cores at this centre; yours have {used}, {asked} more were asked for.",
        "每人的工作进程在该中心最多可用 {most} 个核心；已用 {used} 个，又请求了 {asked} 个。",
    ),
    "limit-cost": (
        "One person's workers may cost {most} credits an hour at this centre; {used} are spent, "
        "{asked} more were asked for.",
        "每人的工作进程在该中心每小时最多可花费 {most} 点；现为 {used} 点，又请求了 {asked} 点。",
    ),
    "balance": (
        "These workers may cost up to {needed} credits, and {budget} has {available}: {missing} are missing.",
        "这些工作进程最多可能花费 {needed} 点，而 {budget} 只有 {available} 点，还缺 {missing} 点。",
    ),
    "budget-limit": (
        "You may use {limit} credits of {budget} here; {used} are used or on hold, and these may cost {needed}.",
        "您在此最多可使用 {budget} 的 {limit} 点；已使用或冻结 {used} 点，而这些最多可能花费 {needed} 点。",
    ),
    "budget-closed": (
        "{budget}, which pays for this session, is closed: it pays for no more workers.",
        "为此会话付费的 {budget} 已关闭，不再为新的工作进程付费。",
    ),
    "not-member": (
        "You are no longer a member of {budget}, which pays for this session.",
        "您已不是 {budget} 的成员，该预算为此会话付费。",
    ),
    "head-died": (
        "The scheduler of the cluster {name} ended unexpectedly; its results are lost. Its last words: {detail}",
        "集群 {name} 的调度进程意外结束，其结果已丢失。最后的输出：{detail}",
    ),
    "head-failed": (
        "The scheduler of the cluster {name} could not be started: {detail}",
        "无法启动集群 {name} 的调度进程：{detail}",
    ),
    "too-old": (
        "This session is older than the gateway's clusters: start a new session to use them.",
        "此会话早于网关的集群功能：请启动新会话后使用。",
    ),
}
#: Values that are micro-credits.
_MONEY = {
    "confirm-cost": ("cost", "limit"),
    "limit-cost": ("most", "used", "asked"),
    "balance": ("needed", "available", "missing"),
    "budget-limit": ("limit", "used", "needed"),
}


class ClusterError(RuntimeError):
    """A cluster cannot do what was asked. `code` and `values` are for programs, the message is for people."""

    def __init__(self, code: str, values: Mapping[str, Any], message: str = "") -> None:
        self.code, self.values = code, dict(values)
        super().__init__(words(code, self.values, message))

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: the sentence, as thirty lines of our and Dask's code above it tell nobody anything."""
        return [f"{type(self).__name__}: {self}"]

    @classmethod
    def of_answer(cls, status: int, data: Mapping[str, Any], **more: Any) -> ClusterError:
        """What the broker, a head or a server said with a refusal."""
        faults = [fault for fault in data.get("faults") or () if isinstance(fault, Mapping)]
        first = faults[0].get("values") if len(faults) == 1 else None
        usual = {403: "forbidden", 404: "no-cluster"}.get(status, f"http-{status}")
        values = {**(first or {}), **(data.get("values") or {}), **more}
        return cls(str(data.get("error") or usual), values, str(data.get("message") or f"HTTP {status}"))


def words(code: str, values: Mapping[str, Any], message: str = "", language: str | None = None) -> str:
    """The sentence for a code; `message` where there is none, or a value that it needs is not given."""
    language = Facts.read(os.environ).language if language is None else language
    shown = {key: _credits(value) if key in _MONEY.get(code, ()) else value for key, value in values.items()}
    if code in WORDS:
        try:
            return WORDS[code][language == "zh"].format(**shown)
        except (KeyError, IndexError):
            return message or code
    return message or code


def _credits(value: object) -> object:
    """Micro-credits as credits."""
    return f"{value / 1e6:,.2f}" if isinstance(value, int | float) else value
