CREATE USER 'capstan'@'%';
GRANT ALL ON *.* TO 'capstan'@'%' WITH GRANT OPTION;
CREATE USER 'app'@'%';
GRANT ALL ON capstan.* TO 'app'@'%';
