# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Preflight: what the user may not do, and whether bad routes would be stopped at the API server. Pure."""

from __future__ import annotations

import typing as t

from ..findings import Finding

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..objects.metadata import Object


class Right(t.NamedTuple):
    """One verb on one resource, as a Role writes it.

    optional: without it the collection works, but with less evidence; purpose: what for, in a few words.
    """

    verb: str
    group: str
    resource: str
    namespace: str
    subresource: str = ""
    optional: bool = False
    purpose: str = ""

    @property
    def target(self) -> str:
        """Return `resource.group/subresource` as kubectl writes it."""
        name = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{name}/{self.subresource}" if self.subresource else name

    @property
    def check(self) -> str:
        """Return the kubectl command that asks the same."""
        extra = f" --subresource={self.subresource}" if self.subresource else ""
        name = f"{self.resource}.{self.group}" if self.group else self.resource
        scope = f" -n {self.namespace}" if self.namespace else " --all-namespaces"
        return f"kubectl auth can-i {self.verb} {name}{extra}{scope}"


def inspect(access: Mapping[Right, bool] | None, webhooks: Sequence[Object] | None) -> Iterator[Finding]:
    """Yield a finding for each right that is missing, and for a validation webhook that does not guard."""
    groups: dict[Right, list[Right]] = {}
    for right, allowed in (access or {}).items():
        if not allowed:
            groups.setdefault(right._replace(verb=""), []).append(right)
    yield from map(_missing, groups.values())
    if webhooks is not None:
        yield from _webhook(webhooks)


def _missing(rights: Sequence[Right]) -> Finding:
    """Return the finding for rights that differ in their verb only."""
    right, verbs = rights[0], [one.verb for one in rights]
    code = "RIGHT_MISSING_OPTIONAL" if right.optional else "RIGHT_MISSING"
    where = f"namespace {right.namespace}" if right.namespace else "the whole cluster"
    needed = f", needed to {right.purpose}" if right.purpose else ""
    kind = "role" if right.namespace else "clusterrole"
    scope = f" -n {right.namespace}" if right.namespace else ""
    return Finding(
        code,
        f"{', '.join(verbs)} {right.target}",
        f"The user has no right to {' and '.join(verbs)} {right.target} in {where}{needed}.",
        f"Add it to the user's role, for example kubectl create {kind} canary-{right.verb}-{right.resource} "
        f"--verb={','.join(verbs)} --resource={right.target}{scope}, and bind it; then try {right.check}.",
    )


def _webhook(configurations: Sequence[Object]) -> Iterator[Finding]:
    """Istio's webhook refuses what proxies would reject; the CRD alone does not even check the sum of weights."""
    istio = [
        (configuration, webhook)
        for configuration in configurations
        for webhook in configuration.get("webhooks") or ()
        if _validates_routes(webhook)
    ]
    if not istio:
        reason = "No webhook validates VirtualServices, so routes that every proxy rejects would be stored."
        yield Finding("VALIDATION_WEBHOOK_OFF", "ValidatingWebhookConfiguration istio", reason)
        return
    if all(webhook.get("failurePolicy") == "Ignore" for _configuration, webhook in istio):
        name = str((istio[0][0].get("metadata") or {}).get("name"))
        reason = "Its failurePolicy is Ignore, so routes are stored unchecked while istiod does not answer."
        yield Finding("VALIDATION_WEBHOOK_OFF", f"ValidatingWebhookConfiguration {name}", reason)


def _validates_routes(webhook: Object) -> bool:
    for rule in webhook.get("rules") or ():
        groups, plurals = rule.get("apiGroups") or (), rule.get("resources") or ()
        if ({"networking.istio.io", "*"} & set(groups)) and ({"virtualservices", "*", "*/*"} & set(plurals)):
            return "istio" in str(webhook.get("name") or "")
    return False
