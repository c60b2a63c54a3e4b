"""Roles, the policies attached to them, and the profiles that hand them to instances."""

from __future__ import annotations

import json

from lab.standins.aws.resource import AwsResource
from lab.standins.aws.wire import arguments, tag_list, tag_map
from lab.standins.values import Properties


class Role(AwsResource):
    """A role that others may assume."""

    properties = frozenset(
        {"name", "namePrefix", "path", "assumeRolePolicy", "description", "maxSessionDuration"}
    )
    required = ("assumeRolePolicy",)
    replace_on = frozenset({"name", "namePrefix", "path"})
    computed = ("arn", "createDate", "uniqueId")
    name_key = "name"
    gone = ("NoSuchEntity",)

    def make(self, inputs: Properties) -> str:
        name = self.chosen_name(inputs)
        self.client("iam").create_role(
            RoleName=name,
            AssumeRolePolicyDocument=inputs["assumeRolePolicy"],
            Tags=tag_list(self.tags(inputs)),
            **arguments(inputs, ("path", "description", "maxSessionDuration")),
        )
        return name

    def look(self, resource_id: str, inputs: Properties) -> Properties:
        role = self.client("iam").get_role(RoleName=resource_id)["Role"]
        seen = {
            "name": resource_id,
            "arn": role["Arn"],
            "path": role["Path"],
            "uniqueId": role["RoleId"],
            "createDate": role["CreateDate"].isoformat(),
            "tags": tag_map(role.get("Tags")),
        }
        policy, asked = role["AssumeRolePolicyDocument"], inputs.get("assumeRolePolicy")
        if asked and json.loads(asked) != policy:  # spaces and order do not count
            seen["assumeRolePolicy"] = json.dumps(policy)
        return seen

    def change(self, resource_id: str, new: Properties, old: Properties, changed: set[str]) -> None:
        iam = self.client("iam")
        if "assumeRolePolicy" in changed:
            iam.update_assume_role_policy(
                RoleName=resource_id, PolicyDocument=new["assumeRolePolicy"]
            )
        if {"description", "maxSessionDuration"} & changed:
            values = arguments(new, ("description", "maxSessionDuration"))
            iam.update_role(RoleName=resource_id, **values)
        wanted, gone = self.tag_changes(new, old)
        if gone:
            iam.untag_role(RoleName=resource_id, TagKeys=gone)
        if wanted:
            iam.tag_role(RoleName=resource_id, Tags=wanted)

    def remove(self, resource_id: str, state: Properties) -> None:
        self.client("iam").delete_role(RoleName=resource_id)


class RolePolicyAttachment(AwsResource):
    """One managed policy on one role."""

    properties = frozenset({"role", "policyArn"})
    required = ("role", "policyArn")
    replace_on = properties
    gone = ("NoSuchEntity",)

    def make(self, inputs: Properties) -> str:
        self.client("iam").attach_role_policy(
            RoleName=inputs["role"], PolicyArn=inputs["policyArn"]
        )
        return f"{inputs['role']}/{inputs['policyArn']}"

    def look(self, resource_id: str, inputs: Properties) -> Properties | None:
        found = self.client("iam").list_attached_role_policies(RoleName=inputs["role"])
        attached = {policy["PolicyArn"] for policy in found["AttachedPolicies"]}
        return {} if inputs["policyArn"] in attached else None

    def remove(self, resource_id: str, state: Properties) -> None:
        self.client("iam").detach_role_policy(RoleName=state["role"], PolicyArn=state["policyArn"])


class RolePolicy(AwsResource):
    """A policy that is a part of one role."""

    properties = frozenset({"name", "namePrefix", "role", "policy"})
    required = ("role", "policy")
    replace_on = frozenset({"name", "namePrefix", "role"})
    name_key = "name"
    gone = ("NoSuchEntity",)

    def make(self, inputs: Properties) -> str:
        name = self.chosen_name(inputs)
        self._put(inputs["role"], name, inputs["policy"])
        return f"{inputs['role']}:{name}"

    def look(self, resource_id: str, inputs: Properties) -> Properties:
        role, _, name = resource_id.partition(":")
        policy = self.client("iam").get_role_policy(RoleName=role, PolicyName=name)
        seen = {"name": name, "role": role}
        document, asked = policy["PolicyDocument"], inputs.get("policy")
        if asked and json.loads(asked) != document:  # spaces and order do not count
            seen["policy"] = json.dumps(document)
        return seen

    def change(self, resource_id: str, new: Properties, old: Properties, changed: set[str]) -> None:
        role, _, name = resource_id.partition(":")
        self._put(role, name, new["policy"])

    def remove(self, resource_id: str, state: Properties) -> None:
        role, _, name = resource_id.partition(":")
        self.client("iam").delete_role_policy(RoleName=role, PolicyName=name)

    def _put(self, role: str, name: str, policy: str) -> None:
        self.client("iam").put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=policy)


class InstanceProfile(AwsResource):
    """A profile with one role or none."""

    properties = frozenset({"name", "namePrefix", "path", "role"})
    replace_on = frozenset({"name", "namePrefix", "path"})
    computed = ("arn", "createDate", "uniqueId")
    name_key = "name"
    gone = ("NoSuchEntity",)

    def make(self, inputs: Properties) -> str:
        name = self.chosen_name(inputs)
        self.client("iam").create_instance_profile(
            InstanceProfileName=name,
            Tags=tag_list(self.tags(inputs)),
            **arguments(inputs, ("path",)),
        )
        self._set_role(name, None, inputs.get("role"))
        return name

    def look(self, resource_id: str, inputs: Properties) -> Properties:
        found = self.client("iam").get_instance_profile(InstanceProfileName=resource_id)
        profile = found["InstanceProfile"]
        seen = {
            "name": resource_id,
            "arn": profile["Arn"],
            "path": profile["Path"],
            "uniqueId": profile["InstanceProfileId"],
            "createDate": profile["CreateDate"].isoformat(),
            "tags": tag_map(profile.get("Tags")),
        }
        roles = profile["Roles"]  # one at most
        return {**seen, "role": roles[0]["RoleName"]} if roles else seen

    def change(self, resource_id: str, new: Properties, old: Properties, changed: set[str]) -> None:
        iam = self.client("iam")
        if "role" in changed:
            self._set_role(resource_id, old.get("role"), new.get("role"))
        wanted, gone = self.tag_changes(new, old)
        if gone:
            iam.untag_instance_profile(InstanceProfileName=resource_id, TagKeys=gone)
        if wanted:
            iam.tag_instance_profile(InstanceProfileName=resource_id, Tags=wanted)

    def remove(self, resource_id: str, state: Properties) -> None:
        self._set_role(resource_id, state.get("role"), None)
        self.client("iam").delete_instance_profile(InstanceProfileName=resource_id)

    def _set_role(self, profile: str, old: str | None, new: str | None) -> None:
        iam = self.client("iam")
        if old:
            iam.remove_role_from_instance_profile(InstanceProfileName=profile, RoleName=old)
        if new:
            iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=new)
