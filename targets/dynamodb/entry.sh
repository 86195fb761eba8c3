#!/bin/sh
# Starts DynamoDB Local, in the official image and in ours alike, with its data
# in /data. Arguments go to the server.
set -eu
flags="-Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
home=/home/dynamodblocal
if [ -f $home/DynamoDBLocal.jar ]; then
	exec java $flags -Djava.library.path=$home/DynamoDBLocal_lib -jar $home/DynamoDBLocal.jar "$@"
fi
lib=/opt/dynamodb/lib
exec java $flags -Djava.library.path=$lib -Dsqlite4java.library.path=$lib -cp "$lib/*" \
	com.amazonaws.services.dynamodbv2.local.main.ServerRunner "$@"
