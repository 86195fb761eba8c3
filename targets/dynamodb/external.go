package dynamodb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/external"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/deploy"
)

// outside is a system that somebody else runs.
type outside struct {
	*external.External
	*service
}

var _ targets.System = (*outside)(nil)

// endpointNode is what the endpoint is called.
const endpointNode = "endpoint"

// region is taken where the environment names none. Only DynamoDB itself cares.
const region = "us-east-1"

func startOutside(ctx context.Context, spec targets.Spec) (targets.System, error) {
	address, addr, err := readEndpoint(spec.Endpoint)
	if err != nil {
		return nil, err
	}
	if spec.Route != nil {
		if addr, err = spec.Route(endpointNode, addr); err != nil {
			return nil, err
		}
	}
	settings, err := readSettings(ctx, address)
	if err != nil {
		return nil, err
	}
	x := external.New(map[string]string{endpointNode: addr})
	return &outside{x, &service{spec: spec, url: address, settings: settings, dial: x.Dial}}, nil
}

// credentialsTimeout bounds the search for credentials.
const credentialsTimeout = 10 * time.Second

// readSettings finds credentials and region as the SDK does. Others than AWS are
// sent some that nobody has if there are none: DynamoDB Local and ScyllaDB do
// not look at them by default. Machines' own identities are for AWS alone.
func readSettings(ctx context.Context, address string) (aws.Config, error) {
	ctx, cancel := context.WithTimeout(ctx, credentialsTimeout)
	defer cancel()
	machine := imds.ClientDisabled
	if isAmazon(address) {
		machine = imds.ClientDefaultEnableState
	}
	settings, err := config.LoadDefaultConfig(ctx, config.WithEC2IMDSClientEnableState(machine))
	if err != nil {
		return aws.Config{}, fmt.Errorf("read AWS settings: %w", err)
	}
	settings.Region = cmp.Or(settings.Region, region)
	_, err = settings.Credentials.Retrieve(ctx)
	switch {
	case err == nil:
	case isAmazon(address):
		return aws.Config{}, fmt.Errorf("find AWS credentials: %w", err)
	default:
		settings.Credentials = nobody().Credentials
	}
	return settings, nil
}

// isAmazon says whether an endpoint is one of AWS' own.
func isAmazon(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (strings.HasSuffix(u.Hostname(), ".amazonaws.com") || strings.HasSuffix(u.Hostname(), ".amazonaws.com.cn"))
}

// readEndpoint returns the endpoint's URL and its host and port.
func readEndpoint(endpoint string) (address, addr string, err error) {
	if endpoint == "" {
		return "", "", errors.New("no endpoint given; it is a URL, e.g. https://dynamodb.eu-central-1.amazonaws.com or http://127.0.0.1:8000")
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return "", "", fmt.Errorf("read endpoint: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "", "", fmt.Errorf("endpoint %q is no http or https URL", endpoint)
	}
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	return u.String(), net.JoinHostPort(u.Hostname(), port), nil
}

// nobody are the settings for systems that ask for a signature and do not look
// at it.
func nobody() aws.Config {
	return aws.Config{Region: region, Credentials: aws.CredentialsProviderFunc(
		func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "capstan", SecretAccessKey: "capstan"}, nil
		})}
}

// Cluster implements targets.System.
func (o *outside) Cluster() *cluster.Cluster { return o.External.Cluster() }

// Ready implements targets.System.
func (o *outside) Ready(ctx context.Context) error {
	err := deploy.Poll(ctx, time.Second, func() error { return o.ask(ctx, endpointNode) })
	if err != nil {
		return fmt.Errorf("wait for %s: %w", o.spec.Endpoint, err)
	}
	return nil
}

// Versions implements targets.System.
func (o *outside) Versions() map[string]string {
	return map[string]string{"endpoint": o.spec.Endpoint, "region": o.settings.Region}
}

// Logs implements targets.System: there are none to be had.
func (*outside) Logs(context.Context, string) error { return nil }

// Endpoints implements targets.Endpoints.
func (o *outside) Endpoints(string) []string { return []string{o.spec.Endpoint} }

// closeTimeout bounds the deletion of the run's table.
const closeTimeout = 30 * time.Second

// Close implements targets.System: it deletes the run's table.
func (o *outside) Close(ctx context.Context) error {
	if o.spec.Keep {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return o.dropTable(ctx, endpointNode)
}
