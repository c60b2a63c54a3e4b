"""EC2 instances: launched where EC2 itself would put them, changed in place where AWS can."""

from __future__ import annotations

import base64
from typing import Any

from lab.standins.aws.ec2 import Ec2Resource
from lab.standins.aws.wire import arguments, lower, tag_list, tag_map
from lab.standins.provider import Failure
from lab.standins.values import Properties, plain

METADATA = (
    "httpEndpoint",
    "httpTokens",
    "httpPutResponseHopLimit",
    "httpProtocolIpv6",
    "instanceMetadataTags",
)
USER_DATA = ("userData", "userDataBase64")
DISK = ("volumeSize", "volumeType", "iops", "throughput")
POLL = {"Delay": 2, "MaxAttempts": 300}  # seconds, times


class Instance(Ec2Resource):
    """One instance. What forces a new one is as in the vendor's schema; the rest is in place."""

    properties = frozenset(
        {
            *("ami", "instanceType", "keyName", "subnetId", "availabilityZone", "privateIp"),
            *("associatePublicIpAddress", "vpcSecurityGroupIds", "iamInstanceProfile"),
            *("metadataOptions", "rootBlockDevice", "volumeTags", "creditSpecification"),
            *("userData", "userDataBase64", "userDataReplaceOnChange"),
            *("disableApiTermination", "forceDestroy", "instanceInitiatedShutdownBehavior"),
            *("ebsOptimized", "monitoring", "sourceDestCheck", "tenancy"),
        }
    )
    replace_on = frozenset(
        {
            *("ami", "availabilityZone", "associatePublicIpAddress", "keyName", "subnetId"),
            *("privateIp", "tenancy", "rootBlockDevice.encrypted", "rootBlockDevice.kmsKeyId"),
        }
    )
    computed = (
        *("arn", "availabilityZone", "instanceState", "primaryNetworkInterfaceId", "privateDns"),
        *("privateIp", "publicDns", "publicIp", "subnetId", "vpcSecurityGroupIds"),
        *("rootBlockDevice", "metadataOptions", "securityGroups", "keyName"),
    )
    kept = ("iamInstanceProfile", "privateIp", "subnetId")
    gone = ("InvalidInstanceID.NotFound",)

    def replaces(self, path: str, inputs: Properties) -> bool:
        new_data = path in USER_DATA and bool(inputs.get("userDataReplaceOnChange"))
        return new_data or super().replaces(path, inputs)

    def check(
        self, inputs: Properties, old_inputs: Properties, failures: list[Failure]
    ) -> Properties:
        failures += [
            (key, f'"{key}": one of `{key},launchTemplate` must be specified')
            for key in ("ami", "instanceType")
            if inputs.get(key) is None
        ]
        return super().check(inputs, old_inputs, failures)

    def make(self, inputs: Properties) -> str:
        made = self.ec2.run_instances(
            MinCount=1,
            MaxCount=1,
            **self.tagged("instance", inputs),
            **self._machine(inputs),
            **self._network(inputs),
            **self._root_disk(inputs),
        )
        instance: str = made["Instances"][0]["InstanceId"]
        self._wait("instance_running", instance)
        if inputs.get("sourceDestCheck") is False:
            self._modify(instance, SourceDestCheck={"Value": False})
        if inputs.get("disableApiTermination"):  # moto does not take it at launch
            self._modify(instance, DisableApiTermination={"Value": True})
        self._tag_disk(instance, inputs, {})
        return instance

    def _machine(self, inputs: Properties) -> dict[str, Any]:
        names = (
            *("instanceType", "keyName", "ebsOptimized", "userData"),
            "instanceInitiatedShutdownBehavior",
        )
        launch = {"ImageId": inputs["ami"], **arguments(inputs, names)}
        if data := inputs.get("userDataBase64"):
            launch["UserData"] = base64.b64decode(data)  # boto3 encodes it again
        placement = arguments(inputs, ("availabilityZone", "tenancy"))
        if placement:
            launch["Placement"] = placement
        if inputs.get("iamInstanceProfile"):
            launch["IamInstanceProfile"] = {"Name": inputs["iamInstanceProfile"]}
        if inputs.get("metadataOptions"):
            launch["MetadataOptions"] = arguments(inputs["metadataOptions"], METADATA)
        if inputs.get("monitoring") is not None:
            launch["Monitoring"] = {"Enabled": inputs["monitoring"]}
        if inputs.get("creditSpecification"):
            launch["CreditSpecification"] = arguments(
                inputs["creditSpecification"], ("cpuCredits",)
            )
        return launch

    def _network(self, inputs: Properties) -> dict[str, Any]:
        """On the interface, if it is described, else on the instance.

        The vendor describes it only with a subnet: a default one gives a public address, whatever
        the program says.
        """
        place = {"SubnetId": inputs.get("subnetId") or self._default_subnet(inputs)}
        if inputs.get("privateIp"):
            place["PrivateIpAddress"] = inputs["privateIp"]
        groups = inputs.get("vpcSecurityGroupIds")
        public = inputs.get("associatePublicIpAddress")
        if public is None or not inputs.get("subnetId"):
            return {**place, **({"SecurityGroupIds": groups} if groups else {})}
        interface = {"DeviceIndex": 0, "AssociatePublicIpAddress": public, **place}
        return {"NetworkInterfaces": [{**interface, **({"Groups": groups} if groups else {})}]}

    def _default_subnet(self, inputs: Properties) -> str:
        """Where EC2 puts an instance that names no subnet; an emulator may not."""
        wanted = [{"Name": "default-for-az", "Values": ["true"]}]
        if zone := inputs.get("availabilityZone"):
            wanted.append({"Name": "availability-zone", "Values": [zone]})
        found = self.ec2.describe_subnets(Filters=wanted)["Subnets"]
        if not found:
            raise RuntimeError("no default subnet for this availability zone: give a subnetId")
        subnet: str = min(found, key=lambda subnet: str(subnet["AvailabilityZone"]))["SubnetId"]
        return subnet

    def _root_disk(self, inputs: Properties) -> dict[str, Any]:
        if not inputs.get("rootBlockDevice"):
            return {}
        image = self.ec2.describe_images(ImageIds=[inputs["ami"]])["Images"][0]
        device = image.get("RootDeviceName", "/dev/sda1")
        sizes = [
            mapping["Ebs"].get("VolumeSize")
            for mapping in image.get("BlockDeviceMappings", [])
            if mapping["DeviceName"] == device and mapping.get("Ebs")
        ]
        names = (*DISK, "encrypted", "kmsKeyId", "deleteOnTermination")
        disk = {
            "VolumeSize": (sizes or [None])[0] or 8,  # GB; moto, unlike AWS, has no default
            "DeleteOnTermination": True,  # the vendor's default; moto has False
            **arguments(inputs["rootBlockDevice"], names),
        }
        return {"BlockDeviceMappings": [{"DeviceName": device, "Ebs": disk}]}

    def _tag_disk(self, instance: str, new: Properties, old: Properties) -> None:
        wanted, before = _disk_tags(new), _disk_tags(old)
        if gone := [{"Key": key} for key in before if key not in wanted]:
            self.ec2.delete_tags(Resources=[self._disk_id(instance)], Tags=gone)
        if wanted:
            self.ec2.create_tags(Resources=[self._disk_id(instance)], Tags=tag_list(wanted))

    def _disk_id(self, instance: str) -> str:
        volume: str = (self.look(instance, {}) or {})["rootBlockDevice"]["volumeId"]
        return volume

    def look(self, resource_id: str, inputs: Properties) -> Properties | None:
        found = self.ec2.describe_instances(InstanceIds=[resource_id])["Reservations"]
        instance = found[0]["Instances"][0] if found else None
        if not instance or instance["State"]["Name"] in ("terminated", "shutting-down"):
            return None
        seen = {
            "arn": self.arn(f"instance/{resource_id}"),
            "ami": instance["ImageId"],
            "instanceType": instance["InstanceType"],
            "instanceState": instance["State"]["Name"],
            "availabilityZone": instance["Placement"]["AvailabilityZone"],
            "keyName": instance.get("KeyName", ""),
            "privateIp": instance.get("PrivateIpAddress", ""),
            "privateDns": instance.get("PrivateDnsName", ""),
            "publicIp": instance.get("PublicIpAddress", ""),
            "publicDns": instance.get("PublicDnsName", ""),
            "subnetId": instance.get("SubnetId", ""),
            "tags": tag_map(instance.get("Tags")),
        }
        return {
            **seen,
            **_groups_seen(instance, inputs),
            **_metadata_seen(instance, inputs),
            **self._disk_seen(instance, inputs),
        }

    def _disk_seen(self, instance: dict[str, Any], inputs: Properties) -> Properties:
        device = instance.get("RootDeviceName")
        for mapping in instance.get("BlockDeviceMappings", []):
            if mapping["DeviceName"] == device:
                volume_id = mapping["Ebs"]["VolumeId"]
                volume = self.ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]
                disk = {
                    **(inputs.get("rootBlockDevice") or {}),
                    "volumeSize": volume["Size"],
                    "encrypted": volume["Encrypted"],
                    "volumeType": volume.get("VolumeType", ""),
                    "volumeId": volume_id,
                    "deviceName": device,
                }
                return {"rootBlockDevice": disk}
        return {}

    def drifted(self, inputs: Properties, seen: Properties) -> Properties:
        found = super().drifted(inputs, seen)
        if "rootBlockDevice" in inputs:  # only what the program set is an input
            new, old = found["rootBlockDevice"], plain(inputs["rootBlockDevice"])
            found["rootBlockDevice"] = {key: new.get(key, value) for key, value in old.items()}
        return found

    def change(self, resource_id: str, new: Properties, old: Properties, changed: set[str]) -> None:
        self._change_attributes(resource_id, new, changed)
        if "iamInstanceProfile" in changed:
            self._change_profile(resource_id, new.get("iamInstanceProfile"))
        if "rootBlockDevice" in changed:
            self._change_disk(resource_id, new.get("rootBlockDevice") or {})
        if {"rootBlockDevice", "volumeTags"} & changed:
            self._tag_disk(resource_id, new, old)
        if {"instanceType", "ebsOptimized", *USER_DATA} & changed:
            self._change_stopped(resource_id, new, changed)
        self.retag(resource_id, new, old)

    def _change_attributes(self, instance: str, new: Properties, changed: set[str]) -> None:
        if "vpcSecurityGroupIds" in changed:
            self._modify(instance, Groups=new["vpcSecurityGroupIds"])
        for name, otherwise in (("disableApiTermination", False), ("sourceDestCheck", True)):
            if name in changed:
                value = otherwise if new.get(name) is None else new[name]
                self._modify(instance, **arguments({name: {"Value": value}}, (name,)))
        if "instanceInitiatedShutdownBehavior" in changed:
            value = new.get("instanceInitiatedShutdownBehavior") or "stop"
            self._modify(instance, InstanceInitiatedShutdownBehavior={"Value": value})
        if "metadataOptions" in changed:
            self.ec2.modify_instance_metadata_options(
                InstanceId=instance, **arguments(new.get("metadataOptions") or {}, METADATA)
            )
        if "monitoring" in changed:
            verb = "monitor" if new.get("monitoring") else "unmonitor"
            getattr(self.ec2, f"{verb}_instances")(InstanceIds=[instance])

    def _change_profile(self, instance: str, profile: str | None) -> None:
        wanted = [{"Name": "instance-id", "Values": [instance]}]
        found = self.ec2.describe_iam_instance_profile_associations(Filters=wanted)
        for association in found["IamInstanceProfileAssociations"]:
            self.ec2.disassociate_iam_instance_profile(AssociationId=association["AssociationId"])
        if profile:
            self.ec2.associate_iam_instance_profile(
                InstanceId=instance, IamInstanceProfile={"Name": profile}
            )

    def _change_disk(self, instance: str, disk: Properties) -> None:
        seen = (self.look(instance, {}) or {})["rootBlockDevice"]
        wanted = arguments(disk, DISK, {"volumeSize": "Size"})
        if wanted.get("Size", seen["volumeSize"]) < seen["volumeSize"]:  # moto would do it
            raise RuntimeError(
                f"updating EC2 Instance ({instance}): modifying volume ({seen['volumeId']}): "
                "InvalidParameterValue: New size cannot be smaller than existing size"
            )
        if wanted:
            self.ec2.modify_volume(VolumeId=seen["volumeId"], **wanted)
        if kept := arguments(disk, ("deleteOnTermination",)):
            self._modify(
                instance, BlockDeviceMappings=[{"DeviceName": seen["deviceName"], "Ebs": kept}]
            )

    def _change_stopped(self, instance: str, new: Properties, changed: set[str]) -> None:
        """What EC2 changes only on a stopped instance. Stopping may change the public address."""
        self.ec2.stop_instances(InstanceIds=[instance])
        self._wait("instance_stopped", instance)
        if "instanceType" in changed:
            self._modify(instance, InstanceType={"Value": new["instanceType"]})
        if "ebsOptimized" in changed:
            self._modify(instance, EbsOptimized={"Value": bool(new.get("ebsOptimized"))})
        if set(USER_DATA) & changed:
            text = (new.get("userData") or "").encode()
            data = text or base64.b64decode(new.get("userDataBase64") or "")
            # moto takes off boto3's base64 and expects another layer; AWS wants only the one
            self._modify(instance, UserData={"Value": base64.b64encode(data)})
        self.ec2.start_instances(InstanceIds=[instance])
        self._wait("instance_running", instance)

    def remove(self, resource_id: str, state: Properties) -> None:
        if state.get("forceDestroy"):
            self._modify(resource_id, DisableApiTermination={"Value": False})
        self.ec2.terminate_instances(InstanceIds=[resource_id])  # refused if protected
        self._wait("instance_terminated", resource_id)

    def _modify(self, instance: str, **attribute: Any) -> None:
        self.ec2.modify_instance_attribute(InstanceId=instance, **attribute)

    def _wait(self, state: str, instance: str) -> None:
        self.ec2.get_waiter(state).wait(InstanceIds=[instance], WaiterConfig=POLL)


def _disk_tags(inputs: Properties) -> dict[str, str]:
    own = (inputs.get("rootBlockDevice") or {}).get("tags") or {}
    return {**(inputs.get("volumeTags") or {}), **own}


def _groups_seen(instance: dict[str, Any], inputs: Properties) -> Properties:
    interface = (instance.get("NetworkInterfaces") or [{}])[0]
    groups = instance["SecurityGroups"] or interface.get("Groups", [])  # moto: in one place only
    ids, asked = sorted(group["GroupId"] for group in groups), inputs.get("vpcSecurityGroupIds")
    return {
        "vpcSecurityGroupIds": asked if asked and sorted(asked) == ids else ids,
        "securityGroups": sorted(group["GroupName"] for group in groups),
        "primaryNetworkInterfaceId": interface.get("NetworkInterfaceId", ""),
    }


def _metadata_seen(instance: dict[str, Any], inputs: Properties) -> Properties:
    if not instance.get("MetadataOptions"):
        return {}
    options = {lower(key): value for key, value in instance["MetadataOptions"].items()}
    asked = inputs.get("metadataOptions") or {}
    seen = {key: options[key] for key in asked or METADATA if key in options}
    return {"metadataOptions": {**asked, **seen}}
