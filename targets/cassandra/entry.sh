#!/bin/sh
# Starts one Cassandra node. It runs as user cassandra in the official image and
# in ours alike; sh, java, and the jars in CASSANDRA_HOME/lib. Configuration is
# in /capstan; neither image's own is read.
#
#   HEAP       the size of the heap, e.g. 512M
#   arguments  go to the Java machine
set -eu
home=${CASSANDRA_HOME:-/opt/cassandra}
data=/var/lib/cassandra
umask 022

# What Cassandra reaches into of Java 17; the list is the distribution's own,
# conf/jvm17-server.options.
open=
for p in java.base/jdk.internal.misc java.management.rmi/com.sun.jmx.remote.internal.rmi \
	java.rmi/sun.rmi.registry java.rmi/sun.rmi.server java.sql/java.sql java.rmi/sun.rmi.transport.tcp \
	java.base/java.lang.ref java.base/jdk.internal.ref jdk.unsupported/sun.misc jdk.compiler/com.sun.tools.javac.file; do
	open="$open --add-exports $p=ALL-UNNAMED"
done
for p in java.base/java.lang java.base/java.lang.module java.base/java.lang.reflect java.base/java.io \
	java.base/java.math java.base/java.net java.base/java.nio java.base/java.util java.base/java.util.concurrent \
	java.base/java.util.concurrent.atomic java.base/java.lang.ref java.base/jdk.internal.loader java.base/jdk.internal.ref \
	java.base/jdk.internal.reflect java.base/jdk.internal.math java.base/jdk.internal.module \
	java.base/jdk.internal.util.jar java.base/jdk.internal.misc java.base/sun.nio.ch java.rmi/sun.rmi.transport.tcp \
	jdk.management/com.sun.management.internal; do
	open="$open --add-opens $p=ALL-UNNAMED"
done

# A small heap on few CPUs: the serial collector, and the quick compiler alone.
exec java $open -javaagent:"$(ls "$home"/lib/jamm-*.jar)" -cp "/capstan:$home/lib/*" \
	-Xms"$HEAP" -Xmx"$HEAP" -Xss512k -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
	-XX:MaxDirectMemorySize=192M -XX:+PerfDisableSharedMem -XX:+ExitOnOutOfMemoryError \
	-Djdk.attach.allowAttachSelf=true -Djava.net.preferIPv4Stack=true -Dfile.encoding=UTF-8 \
	-Dlogback.configurationFile=logback.xml -Dcassandra.config=file:///capstan/cassandra.yaml \
	-Dcassandra.storagedir="$data" -Dcassandra.logdir=/tmp -Dcassandra-foreground=yes \
	-Dcassandra.jmx.local.port=7199 -Dcom.sun.management.jmxremote.authenticate=false \
	"$@" org.apache.cassandra.service.CassandraDaemon
