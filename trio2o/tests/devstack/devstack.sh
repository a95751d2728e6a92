#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# `devstack.sh stack|unstack|clean LOCAL.CONF`: what DevStack's stack.sh, unstack.sh and clean.sh do around a
# plug-in, in their order, for a node whose own services are a pod of a real lab. The test that calls it
# (trio2o/tests/real/test_devstack.py) says where everything is, in STAND_IN_ variables:
#
#   STATE      folder of this node           BIN        commands: the virtual environment's
#   DATABASE   URL of a server, or empty     TRANSPORT  of messages
#   KEYSTONE   URL                           PASSWORD   of every account
#   POD        of the lab                    LOG        where log files begin
#   NEUTRON_CONF, NOVA_CONF, CINDER_CONF     the files of the lab's services
set -o errexit -o pipefail
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
# shellcheck source=trio2o/tests/devstack/functions.sh
. "$(dirname "${BASH_SOURCE[0]}")/functions.sh"

unset "${!OS_@}"
export OS_CLIENT_CONFIG_FILE=$STAND_IN_STATE/clouds.yaml PATH=$STAND_IN_BIN:$PATH PYTHONWARNINGS=ignore
export no_proxy=127.0.0.1,localhost NO_PROXY=127.0.0.1,localhost

# What local.conf and stackrc say.
export DEST=$STAND_IN_STATE/dest
STACK_USER=$(id -un)
DATA_DIR=$STAND_IN_STATE/data
# shellcheck disable=SC2034
SYSTEMCTL=systemctl_stand_in
ENABLED_SERVICES=mysql,rabbit,key,g-api,placement-api,n-api,n-cpu,n-cond,n-sch,c-api,c-vol,c-sch,q-svc
DISABLED_SERVICES=
mkdir -p "$STAND_IN_STATE"/{run,apache,data,dest}
sed -n '/^\[\[local|localrc\]\]$/,/^\[\[.*\]\]$/{/^\[\[/d;p}' "$2" >"$STAND_IN_STATE/.localrc.auto"
# shellcheck disable=SC1091
. "$STAND_IN_STATE/.localrc.auto"
REGION_NAME=${REGION_NAME:-RegionOne}
KEYSTONE_REGION_NAME=${KEYSTONE_REGION_NAME:-$REGION_NAME}
SERVICE_HOST=${SERVICE_HOST:-$HOST_IP}
SERVICE_PROTOCOL=http
SERVICE_LISTEN_ADDRESS=${SERVICE_LISTEN_ADDRESS:-0.0.0.0}
SERVICE_TIMEOUT=90
SERVICE_PASSWORD=$STAND_IN_PASSWORD
SERVICE_DOMAIN_NAME=Default
SERVICE_PROJECT_NAME=service
KEYSTONE_SERVICE_URI=$STAND_IN_KEYSTONE
API_WORKERS=2
ENABLE_DEBUG_LOG_LEVEL=False
NOVA_CONF_DIR=$(dirname "$STAND_IN_NOVA_CONF")
CINDER_CONF=$STAND_IN_CINDER_CONF
TEMPEST_CONFIG=$STAND_IN_STATE/tempest.conf
if is_service_enabled q-svc; then
    NEUTRON_CONF=$STAND_IN_NEUTRON_CONF
fi

function lab_start {
    "$STAND_IN_BIN/trio2o-lab" real start "$@"
}

function lab_stop {
    "$STAND_IN_BIN/trio2o-lab" real stop "$@"
}

function run_phase {
    echo "phase $*"
    # shellcheck source=devstack/plugin.sh
    . "$TOP/devstack/plugin.sh" "$@"
}

# What configure_nova, configure_cinder and configure_neutron leave: all in one region.
function own_regions {
    local option
    for option in placement.region_name cinder.os_region_name neutron.region_name; do
        iniset "$STAND_IN_NOVA_CONF" "${option%.*}" "${option#*.}" "$REGION_NAME"
    done
    iniset "$CINDER_CONF" nova region_name "$REGION_NAME"
    if is_service_enabled q-svc; then
        iniset "$NEUTRON_CONF" nova region_name "$REGION_NAME"
    fi
}

cat >"$OS_CLIENT_CONFIG_FILE" <<YAML
clouds:
YAML
for cloud in devstack-admin devstack-system-admin; do
    cat >>"$OS_CLIENT_CONFIG_FILE" <<YAML
  $cloud:
    auth:
      auth_url: $STAND_IN_KEYSTONE
      username: admin
      password: $STAND_IN_PASSWORD
      user_domain_name: Default
      project_name: admin
      project_domain_name: Default
    region_name: $REGION_NAME
    identity_api_version: '3'
YAML
done

# shellcheck source=devstack/override-defaults
. "$TOP/devstack/override-defaults"
# shellcheck source=devstack/settings
. "$TOP/devstack/settings"
# The checkout is here, not where git_clone would have put it.
# shellcheck disable=SC2034
TRIO2O_DIR=$TOP

case $1 in
    stack)
        run_phase stack pre-install
        run_phase stack install
        own_regions
        run_phase stack post-config
        lab_stop "$STAND_IN_POD.nova" "$STAND_IN_POD.cinder"
        lab_start "$STAND_IN_POD.nova" "$STAND_IN_POD.cinder"
        # As create_flavors does, in the region the node was stacked as.
        openstack --os-cloud devstack-admin flavor show m1.nano -f value -c id 2>/dev/null ||
            openstack --os-cloud devstack-admin flavor create m1.nano --id 42 --ram 192 --disk 1 --vcpus 1 \
                -f value -c id
        run_phase stack extra
        : >"$TEMPEST_CONFIG"
        run_phase stack test-config
        ;;
    unstack)
        run_phase unstack
        ;;
    clean)
        run_phase unstack
        run_phase clean
        ;;
    *) die $LINENO "usage: devstack.sh stack|unstack|clean LOCAL.CONF" ;;
esac
