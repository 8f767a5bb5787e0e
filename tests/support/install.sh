#!/bin/sh
# What `make test` needs beside Python: a broker, a browser, promtool, curl, jq, nginx and Node. Root installs Debian's packages;
# none of their services is started or enabled, so nothing listens that was not listening before.
set -eu

missing=
[ -x /usr/sbin/rabbitmq-server ] || command -v rabbitmq-server >/dev/null || missing="$missing rabbitmq-server"
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || missing="$missing chromium"
command -v promtool >/dev/null || missing="$missing prometheus"
command -v curl >/dev/null || missing="$missing curl"
command -v jq >/dev/null || missing="$missing jq"
[ -x /usr/sbin/nginx ] || command -v nginx >/dev/null || missing="$missing nginx"
command -v node >/dev/null || missing="$missing nodejs"
command -v npm >/dev/null || missing="$missing npm"
set -- /usr/lib/*/libatomic.so.1 # what drives the browser is linked to it, and the browser is not
[ -e "$1" ] || missing="$missing libatomic1"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "make test needs:$missing" >&2
    echo "On Debian or Ubuntu: sudo tests/support/install.sh" >&2
    echo "(AMQP_URL does not replace rabbitmq-server: the fault tests kill and freeze a broker of their own.)" >&2
    exit 1
fi

echo "Installing$missing (Debian packages, a minute or two)"
policy=/usr/sbin/policy-rc.d
refused=0
[ ! -x $policy ] || $policy rabbitmq-server start >/dev/null 2>&1 || refused=$?
if [ "$refused" != 101 ]; then # nothing forbids packages to start their services yet: forbid it meanwhile
    [ ! -e $policy ] || mv $policy $policy.before-relais
    trap 'rm -f $policy; [ ! -e $policy.before-relais ] || mv $policy.before-relais $policy' EXIT
    trap 'exit 1' INT TERM
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
fi
apt-get -qq update
# shellcheck disable=SC2086 # a list of package names
DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing >/dev/null
if command -v systemctl >/dev/null; then
    case $missing in *rabbitmq-server*) systemctl --quiet disable rabbitmq-server epmd.socket || : ;; esac
    case $missing in *nginx*) systemctl --quiet disable nginx || : ;; esac
    case $missing in *prometheus*) systemctl --quiet disable prometheus || : ;; esac
fi
