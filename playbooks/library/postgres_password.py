"""Gives a role of PostgreSQL another password, from within the pod that PostgreSQL runs in."""
# ruff: noqa: INP001  # Ansible loads modules by their path

from __future__ import annotations

from typing import Any

from ansible.module_utils.common.text.converters import to_native
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.client import get_api_client
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.core import AnsibleK8SModule

DOCUMENTATION = r"""
module: postgres_password
short_description: Change the password of a PostgreSQL role
description:
  - Runs psql in the pod, as an administrator whom PostgreSQL knows by the local socket.
  - The password goes there as psql's input, so that it is in no argument, no environment, no log of the server's and no
    audit log of the cluster's. Connections that are open stay so.
options:
  namespace:
    description: The pod's namespace.
    type: str
    required: true
  pod:
    description: The pod.
    type: str
    required: true
  socket:
    description: The folder of PostgreSQL's socket, in the pod.
    type: path
    required: true
  administrator:
    description: The role that changes the password.
    type: str
    required: true
  role:
    description: The role whose password it is.
    type: str
    required: true
  password:
    description: The new password.
    type: str
    required: true
  seconds:
    description: How long it may take.
    type: int
    default: 30
extends_documentation_fragment: [kubernetes.core.k8s_auth_options]
"""

EXAMPLES = r"""
- name: Give the catalog's role another password
  postgres_password:
    namespace: production
    pod: iceberg-catalog-0
    socket: /tmp
    administrator: assay
    role: iceberg
    password: "{{ password }}"
"""

RETURN = r""" # """


def script(role: str, password: str) -> str:
    """What psql is told. No server logs the statement, whatever its settings, and no message quotes it."""
    name, literal = role.replace('"', '""'), password.replace("'", "''")
    return (
        "\\set VERBOSITY terse\n"
        "SET log_statement = 'none';\n"
        "SET log_min_duration_statement = -1;\n"
        "SET log_min_error_statement = 'panic';\n"
        "SET standard_conforming_strings = on;\n"
        f"ALTER ROLE \"{name}\" PASSWORD '{literal}';\n"
        # The input of a command in a pod can't be closed
        "\\quit\n"
    )


def told(api: Any, options: dict[str, Any]) -> str | None:
    """Have it done; why it was not, if it was not."""
    from kubernetes.stream import stream  # noqa: PLC0415  # absent where the module's own check says so

    command = ["psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--dbname=postgres"]
    session = stream(
        api.connect_get_namespaced_pod_exec,
        options["pod"],
        options["namespace"],
        command=[*command, f"--host={options['socket']}", f"--username={options['administrator']}"],
        stdin=True,
        stdout=True,
        stderr=True,
        tty=False,
        _preload_content=False,
    )
    session.write_stdin(script(options["role"], options["password"]))
    session.run_forever(timeout=options["seconds"])
    if session.is_open():
        session.close()
        return f"psql was not done within {options['seconds']} s"
    if session.returncode:
        said = " ".join((session.read_stderr() or "").split())
        return said or f"psql ended with exit code {session.returncode}"
    return None


def main() -> None:
    """Run the module."""
    text = {"type": "str", "required": True}
    module = AnsibleK8SModule(
        argument_spec={
            **AUTH_ARG_SPEC,
            **dict.fromkeys(("namespace", "pod", "administrator", "role"), text),
            "socket": {"type": "path", "required": True},
            "password": {**text, "no_log": True},
            "seconds": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=True)
    options = module.params
    try:
        from kubernetes.client import CoreV1Api  # noqa: PLC0415  # absent where the module's own check says so

        refused = told(CoreV1Api(get_api_client(module).client.client), options)
    except Exception as error:  # noqa: BLE001  # whatever is wrong is told in a sentence
        refused = getattr(error, "reason", None) or to_native(error)
    if refused:
        where = f"the pod {options['pod']} in {options['namespace']}"
        module.fail_json(
            msg=f"The password of the role {options['role']} can't be changed in {where} ({refused}): "
            "see that the pod is ready, and run it again."
        )
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
