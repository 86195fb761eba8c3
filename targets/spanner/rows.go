package spanner

import (
	"fmt"
	"strconv"

	pb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/protobuf/types/known/structpb"
)

// columns are those of every table.
func columns() []string { return []string{"k", "v"} }

// row is one of a table. A key that is not a number is 0.
type row struct {
	key   int
	value *structpb.Value
}

func rows(got *pb.ResultSet) ([]row, error) {
	all := make([]row, len(got.Rows))
	for i, r := range got.Rows {
		if len(r.Values) != len(columns()) {
			return nil, fmt.Errorf("read row: %d columns, want %d", len(r.Values), len(columns()))
		}
		key, _ := strconv.Atoi(r.Values[0].GetStringValue())
		all[i] = row{key, r.Values[1]}
	}
	return all, nil
}

func (r row) number() (int, error) { return number(r.value) }

func (r row) list() ([]int, error) {
	values := r.value.GetListValue().GetValues()
	list := make([]int, len(values))
	for i, v := range values {
		var err error
		if list[i], err = number(v); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// number reads an INT64, which the protocol has as text.
func number(v *structpb.Value) (int, error) {
	n, err := strconv.Atoi(v.GetStringValue())
	if err != nil {
		return 0, fmt.Errorf("read number: %w", err)
	}
	return n, nil
}

func integer(n int) *structpb.Value { return structpb.NewStringValue(strconv.Itoa(n)) }

func integers(list []int) *structpb.Value {
	values := make([]*structpb.Value, len(list))
	for i, n := range list {
		values[i] = integer(n)
	}
	return structpb.NewListValue(&structpb.ListValue{Values: values})
}

func tuple(values ...*structpb.Value) *structpb.ListValue { return &structpb.ListValue{Values: values} }

func keySet(keys ...int) *pb.KeySet {
	set := &pb.KeySet{}
	for _, k := range keys {
		set.Keys = append(set.Keys, tuple(integer(k)))
	}
	return set
}

// put writes the row of a key, whether there is one or not.
func put(table string, key int, value *structpb.Value) *pb.Mutation {
	return &pb.Mutation{Operation: &pb.Mutation_InsertOrUpdate{InsertOrUpdate: &pb.Mutation_Write{
		Table: table, Columns: columns(), Values: []*structpb.ListValue{tuple(integer(key), value)},
	}}}
}

// insert makes a row whose key is made by the server.
func insert(table string, value int) *pb.Mutation {
	return &pb.Mutation{Operation: &pb.Mutation_Insert{Insert: &pb.Mutation_Write{
		Table: table, Columns: []string{"v"}, Values: []*structpb.ListValue{tuple(integer(value))},
	}}}
}
