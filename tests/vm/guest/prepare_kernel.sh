# Before the machine boots: the package.
source /payload/lib.sh
dpkg -i /payload/linegate.deb
