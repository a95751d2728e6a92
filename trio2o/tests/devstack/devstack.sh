#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# `devstack.sh stack|unstack|clean LOCAL.CONF`: what DevStack's stack.sh, unstack.sh and clean.sh do around a
# plug-in, in their order, for a node whose own services are a pod of a real lab. The test that calls it
# (trio2o/tests/real/guides/test_devstack.py) says where everything is, in SUBSTITUTE_ variables:
#
#   STATE      folder of this node           BIN        commands: the virtual environment's
#   OPENSTACK  the openstack client
#   DATABASE   URL of a server, or empty     TRANSPORT  of messages
#   KEYSTONE   URL                           PASSWORD   of every account
#   POD        of the lab                    LOG        where log files begin
#   URLS       TYPE=URL of every service the node may have
#   NEUTRON_CONF, NOVA_CONF, CINDER_CONF     the files of the lab's services
set -o errexit -o pipefail
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
# shellcheck source=trio2o/tests/devstack/functions.sh
. "$(dirname "${BASH_SOURCE[0]}")/functions.sh"

unset "${!OS_@}"
export PYTHONWARNINGS=ignore no_proxy=127.0.0.1,localhost NO_PROXY=127.0.0.1,localhost
# Where the clients find clouds.yaml, whoever unsets what; DevStack has it in /etc/openstack.
mkdir -p "$SUBSTITUTE_STATE"/{run,apache,data,dest,bin}
cd "$SUBSTITUTE_STATE"
# Of a shell that knows nothing of DevStack's virtual environment, whose openstack has a link in /usr/local/bin.
ln -sf "$SUBSTITUTE_OPENSTACK" bin/openstack
PATH=$SUBSTITUTE_STATE/bin:$(tr ':' '\n' <<<"$PATH" | { grep -vxF "$SUBSTITUTE_BIN" || true; } | paste -sd:)

# What local.conf and stackrc say.
export DEST=$SUBSTITUTE_STATE/dest
STACK_USER=$(id -un)
DATA_DIR=$SUBSTITUTE_STATE/data
# shellcheck disable=SC2034
SYSTEMCTL=systemctl_substitute
ENABLED_SERVICES=mysql,rabbit,key,g-api,placement-api,n-api,n-cpu,n-cond,n-sch,c-api,c-vol,c-sch,q-svc
DISABLED_SERVICES=
sed -n '/^\[\[local|localrc\]\]$/,/^\[\[.*\]\]$/{/^\[\[/d;p}' "$2" >"$SUBSTITUTE_STATE/.localrc.auto"
# shellcheck disable=SC1091
. "$SUBSTITUTE_STATE/.localrc.auto"
REGION_NAME=${REGION_NAME:-RegionOne}
KEYSTONE_REGION_NAME=${KEYSTONE_REGION_NAME:-$REGION_NAME}
SERVICE_HOST=${SERVICE_HOST:-$HOST_IP}
KEYSTONE_SERVICE_HOST=${KEYSTONE_SERVICE_HOST:-$SERVICE_HOST}
# With tls-proxy too: every lib/ file says https for its own service then.
SERVICE_PROTOCOL=http
SSL_BUNDLE_FILE=$SUBSTITUTE_STATE/ca-bundle.pem
DEVSTACK_CERT=$SUBSTITUTE_STATE/devstack-cert.pem
SERVICE_LISTEN_ADDRESS=${SERVICE_LISTEN_ADDRESS:-0.0.0.0}
SERVICE_TIMEOUT=90
SERVICE_PASSWORD=$SUBSTITUTE_PASSWORD
SERVICE_DOMAIN_NAME=Default
SERVICE_PROJECT_NAME=service
KEYSTONE_SERVICE_URI=$SUBSTITUTE_KEYSTONE
API_WORKERS=${API_WORKERS:-2}
ENABLE_DEBUG_LOG_LEVEL=False
NOVA_CONF_DIR=$(dirname "$SUBSTITUTE_NOVA_CONF")
CINDER_CONF=$SUBSTITUTE_CINDER_CONF
TEMPEST_CONFIG=$SUBSTITUTE_STATE/tempest.conf
if is_service_enabled q-svc; then
    NEUTRON_CONF=$SUBSTITUTE_NEUTRON_CONF
fi

function lab_start {
    "$SUBSTITUTE_BIN/trio2o-lab" real start "$@"
}

function lab_stop {
    "$SUBSTITUTE_BIN/trio2o-lab" real stop "$@"
}

function run_phase {
    echo "phase $*"
    # shellcheck source=devstack/plugin.sh
    . "$TOP/devstack/plugin.sh" "$@"
}

# What configure_nova, configure_cinder and configure_neutron leave: all in one region.
function own_regions {
    iniset "$SUBSTITUTE_NOVA_CONF" placement region_name "$REGION_NAME"
    iniset "$SUBSTITUTE_NOVA_CONF" cinder os_region_name "$REGION_NAME"
    iniset "$CINDER_CONF" nova region_name "$REGION_NAME"
    if is_service_enabled q-svc; then
        iniset "$NEUTRON_CONF" nova region_name "$REGION_NAME"
    fi
}

# It runs beside what comes next. Between iniset's read and its write everything may happen: here it does.
function configure_neutron_nova {
    local before=$SUBSTITUTE_STATE/nova.conf.read
    cp "$SUBSTITUTE_NOVA_CONF" "$before"
    _until_awaited configure_neutron_nova
    iniset "$before" neutron region_name "$REGION_NAME"
    cat "$before" >"$SUBSTITUTE_NOVA_CONF"
    rm "$before"
}

# What a service's account step leaves: of those in SUBSTITUTE_URLS, the public endpoint in the node's region.
function create_endpoints {
    local type pair
    local -a pairs=()
    for type in "$@"; do
        for pair in $SUBSTITUTE_URLS; do
            [[ "${pair%%=*}" != "$type" ]] || pairs+=("$pair")
        done
    done
    _identity endpoints "$REGION_NAME" "${pairs[@]}"
}

# Everything but Placement's is done for nodes with key alone.
function create_accounts {
    local -a types=()
    if is_service_enabled key; then
        if [[ "$KEYSTONE_SERVICE_HOST" == "$SERVICE_HOST" ]]; then
            types+=(identity)
        fi
        if is_service_enabled n-api; then
            get_or_create_service nova_legacy compute_legacy "Nova Compute Service (Legacy 2.0)"
            types+=(compute compute_legacy)
        fi
        if is_service_enabled c-api; then
            types+=(block-storage volumev3)
        fi
        if is_service_enabled g-api; then
            types+=(image)
        fi
        if is_service_enabled q-svc; then
            types+=(network)
        fi
    fi
    if is_service_enabled placement-api; then
        types+=(placement)
    fi
    create_endpoints "${types[@]}"
}

# As create_flavors does, in the region the node was stacked as.
function create_flavors {
    openstack flavor show cirros256 -f value -c id 2>/dev/null ||
        openstack flavor create cirros256 --id c1 --ram 256 --disk 1 --vcpus 1 -f value -c id
}

# What unstack.sh and clean.sh read first; it makes their shell a tenant's.
function openrc {
    export OS_AUTH_TYPE=password OS_AUTH_URL=$KEYSTONE_SERVICE_URI OS_IDENTITY_API_VERSION=3
    export OS_USERNAME=demo OS_PASSWORD=$SUBSTITUTE_PASSWORD OS_PROJECT_NAME=demo OS_TENANT_NAME=demo
    export OS_USER_DOMAIN_ID=default OS_PROJECT_DOMAIN_ID=default
    export OS_REGION_NAME=$REGION_NAME OS_VOLUME_API_VERSION=3
    if [[ -f "$SSL_BUNDLE_FILE" ]]; then
        export OS_CACERT=$SSL_BUNDLE_FILE
    fi
}

function unstack {
    openrc
    run_phase unstack
    if is_service_enabled tls-proxy; then
        stop_tls_proxy
        cleanup_CA
    fi
}

cat >clouds.yaml <<YAML
clouds:
  devstack-admin:
    auth:
      auth_url: $SUBSTITUTE_KEYSTONE
      username: admin
      password: $SUBSTITUTE_PASSWORD
      user_domain_id: default
      project_name: admin
      project_domain_id: default
    region_name: $REGION_NAME
    identity_api_version: '3'
YAML
if is_service_enabled tls-proxy; then
    echo "    cacert: $SSL_BUNDLE_FILE" >>clouds.yaml
fi

# shellcheck source=devstack/override-defaults
. "$TOP/devstack/override-defaults"
# shellcheck source=devstack/settings
. "$TOP/devstack/settings"
# The checkout is here, not where git_clone would have put it.
# shellcheck disable=SC2034
TRIO2O_DIR=$TOP

case $1 in
    stack)
        # The client in the first folder answers sooner than the program in the second one.
        PATH=$SUBSTITUTE_STATE/bin:$SUBSTITUTE_BIN:$PATH
        run_phase stack pre-install
        if is_service_enabled tls-proxy; then
            init_cert
            export OS_CACERT=$SSL_BUNDLE_FILE
        fi
        own_regions
        run_phase stack install
        export OS_CLOUD=devstack-admin
        create_accounts
        async_runfunc configure_neutron_nova
        run_phase stack post-config
        async_wait configure_neutron_nova
        lab_stop "$SUBSTITUTE_POD.nova" "$SUBSTITUTE_POD.cinder"
        lab_start "$SUBSTITUTE_POD.nova" "$SUBSTITUTE_POD.cinder"
        create_flavors
        run_phase stack extra
        : >"$TEMPEST_CONFIG"
        run_phase stack test-config
        ;;
    unstack)
        unstack
        ;;
    clean)
        (unstack)
        openrc
        run_phase clean
        ;;
    *) die $LINENO "usage: devstack.sh stack|unstack|clean LOCAL.CONF" ;;
esac
