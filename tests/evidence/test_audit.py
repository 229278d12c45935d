"""x"""

from hsm_app.evidence.audit import audit


def test_x(deployment, other_deployment):
    for name, verdict in audit(deployment.files, deployment.beliefs).items():
        print(name, verdict)
    r = deployment.remade(deployment.files)
    for name, verdict in audit(r, deployment.beliefs).items():
        print(name, verdict)
