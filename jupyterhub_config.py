"""The hub's configuration, for one machine and for a cluster: environment variables in, traits out.

The only file that reads deployment variables; docs/hub-variables.md has each under a heading. Holds no logic.
"""

import os

from kf_spawner import __version__
from kf_spawner.hub.authorize import add_scope, handlers
from kf_spawner.hub.config_folder import apply_folder
from kf_spawner.hub.dashboard_service import add_dashboard
from kf_spawner.hub.database import is_copied_before_upgrade, keep_private
from kf_spawner.hub.login import AUTHENTICATORS
from kf_spawner.hub.one_loop import keep_loop_free
from kf_spawner.hub.pages import TEMPLATES
from kf_spawner.hub.proxy_routes import OrderedProxy
from kf_spawner.hub.user_domains import add_user_domains
from kf_spawner.k8s.names import HOME_MOUNT
from kf_spawner.serving.address import serving_url
from kf_spawner.spawner.catalogue import read_folder, reference
from kf_spawner.spawner.spawner import KubeflowSpawner
from kf_spawner.variables import address, choice, flag, folder, folder_of_images, host_of, names, optional, port

c = get_config()

env = os.environ
state = folder("KF_HUB_DIR", default=".")
public_url = address("KF_PUBLIC_URL", default="http://127.0.0.1:8000")
hub_host = env.get("KF_HUB_HOST", "127.0.0.1")
hub_address = f"http://{hub_host}:{port('KF_HUB_PORT', default=8081)}"
where = {
    "registry": env.get("REGISTRY", ""),
    "repository": env.get("REPO_NAME", "kf-spawner"),
    "tag": env.get("KF_IMAGE_TAG", __version__),
}

# The hub and its proxy: another process starts the proxy, and each may restart alone.
c.JupyterHub.bind_url = public_url
c.JupyterHub.hub_bind_url = hub_address
c.JupyterHub.hub_connect_url = env.get("KF_HUB_CONNECT_URL", hub_address)
c.JupyterHub.proxy_class = OrderedProxy
c.OrderedProxy.names = sorted({host_of(env.get("KF_SERVERS_CONNECT_URL", ""))} - {""})
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = env.get("KF_PROXY_API_URL", "http://127.0.0.1:8003")
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False
c.JupyterHub.last_activity_interval = 10  # seconds; also how soon a restarted proxy has its routes again
c.JupyterHub.db_url = env.get("KF_HUB_DB", f"sqlite:///{state}/jupyterhub.sqlite")
c.JupyterHub.upgrade_db = is_copied_before_upgrade(c.JupyterHub.db_url)
c.JupyterHub.cookie_secret_file = str(state / "cookie_secret")

# A domain for each user
add_user_domains(c, public_url if flag("KF_SUBDOMAINS", default=False) else "")

# Pages
c.JupyterHub.template_paths = [TEMPLATES]
c.JupyterHub.logo_file = f"{TEMPLATES}/logo.svg"
c.JupyterHub.extra_handlers = handlers()

# Who may log in
c.JupyterHub.authenticator_class = choice("KF_AUTHENTICATOR", AUTHENTICATORS, default="local")
c.Authenticator.admin_users = {"admin"}
c.Authenticator.allowed_users = names("KF_USERS", default="admin")
c.LocalAuthenticator.bind_host = env.get("KF_BIND_HOST", host_of(public_url))
c.LocalAuthenticator.hub_host = hub_host
c.LocalAuthenticator.password_file = env.get("KF_PASSWORD_FILE", "")
c.LocalAuthenticator.proxy_secret = env.get("CONFIGPROXY_AUTH_TOKEN", "")
c.LocalAuthenticator.trusted_proxies = sorted(names("KF_TRUSTED_PROXIES", default=""))
c.IapAuthenticator.audience = env.get("KF_IAP_AUDIENCE", "")

# Who may call endpoints
add_scope(c)

# The TFJob dashboard
add_dashboard(c, url=env.get("KF_DASHBOARD_URL", ""), token=env.get("KF_DASHBOARD_TOKEN", ""))

# Servers
c.JupyterHub.spawner_class = KubeflowSpawner
c.KubeflowSpawner.images = read_folder(folder_of_images("KF_IMAGES_DIR"), **where)
c.KubeflowSpawner.default_image = env.get("DEFAULT_IMAGE", "")
c.KubeflowSpawner.model_server_image = env.get("KF_MODEL_SERVER_IMAGE", reference("model-server", **where))
c.KubeflowSpawner.serving_url = serving_url(env.get("KF_DOOR_URL", public_url))
c.KubeflowSpawner.hub_connect_url = env.get("KF_SERVERS_CONNECT_URL") or None
c.KubeflowSpawner.serving_connect_url = serving_url(env.get("KF_DOOR_CONNECT_URL", ""))
c.KubeflowSpawner.home_mount = optional("NOTEBOOK_PVC_MOUNT", default=HOME_MOUNT)
c.KubeflowSpawner.extra_claims = sorted(names("KF_PVC_LIST", default=""))
c.KubeflowSpawner.default_url = "/lab" if flag("DEFAULT_JUPYTERLAB", default=True) else "/tree"
c.KubeflowSpawner.image_pull_policy = "IfNotPresent"
c.KubeflowSpawner.service_account = "notebook"
c.KubeflowSpawner.automount_service_account_token = True
c.KubeflowSpawner.cmd = ["jupyterhub-singleuser"]
c.KubeflowSpawner.uid = 1000
c.KubeflowSpawner.fs_gid = 100
c.KubeflowSpawner.start_timeout = 1800  # seconds; a start with a known cause of failure ends long before
c.KubeflowSpawner.http_timeout = 300
c.KubeflowSpawner.poll_interval = 10  # seconds; a look into a cache, not a request

# More configuration of the deployment: the chart's values become such a folder.
apply_folder(c, env.get("KF_CONFIG_DIR", ""))
keep_private(c.JupyterHub.db_url)
keep_loop_free()
