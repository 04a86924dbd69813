# Sourced before the tests: the real PostgreSQL, Prometheus and HAProxy that they run against, from Debian's packages.
# Where they are missing and cannot be installed, CI fails and a developer's run leaves those tests out, loudly.
_missing=()
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || _missing+=(postgresql)
command -v prometheus >/dev/null || _missing+=(prometheus)
command -v haproxy >/dev/null || [ -x /usr/sbin/haproxy ] || _missing+=(haproxy)
if [ "${#_missing[@]}" -gt 0 ]; then
    _root=()
    [ "$(id -u)" -eq 0 ] || _root=(sudo -n)
    echo "installing ${_missing[*]} for the tests" >&2
    if ! { "${_root[@]}" apt-get update -q &&
        DEBIAN_FRONTEND=noninteractive "${_root[@]}" apt-get install -y -q --no-install-recommends "${_missing[@]}"; } >/dev/null; then
        if [ -n "${CI:-}" ]; then
            echo "cannot install ${_missing[*]}" >&2
            exit 1
        fi
        for _name in "${_missing[@]}"; do
            case "$_name" in
                postgresql) export TURNOUT_TEST_POSTGRES=skip ;;
                prometheus) export TURNOUT_TEST_PROMETHEUS=skip ;;
                haproxy) export TURNOUT_TEST_HAPROXY=skip ;;
            esac
            echo "NOT TESTED here: $_name is missing; install the package to test against it" >&2
        done
    fi
fi
